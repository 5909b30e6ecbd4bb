"""Back-off: the second try at once, the others ever later."""

from __future__ import annotations

from dse.launching.back_off import BackOff


def test_pauses_double_up_to_half_a_minute_and_a_success_ends_them() -> None:
    now = [100.0]
    back_off = BackOff(clock=lambda: now[0])
    assert back_off.is_over
    pauses = []
    for _ in range(8):
        pauses.append(back_off.pause_s)
        back_off.failed()
        assert back_off.is_over == (pauses[-1] == 0)
        now[0] += pauses[-1]
        assert back_off.is_over
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30]
    back_off.succeeded()
    assert back_off.is_over
    back_off.failed()
    assert back_off.is_over
