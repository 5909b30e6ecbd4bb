"""Reference designs and printed tables as data, one file per paper."""
