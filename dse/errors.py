"""The family of errors that a user can cause or must see; the CLI turns them into exit codes.

DseError
+-- SpecError      a study file (or an override of it) says something that cannot hold
+-- PluginError    a name or "module:attribute" does not lead to an object
+-- DataError      a data set is missing, incomplete or damaged
+-- TaskError      a network or checkpoint cannot be used
+-- StorageError   the database cannot be opened, read or written
+-- StudyError     a study or trial does not exist, or another driver owns it
+-- ResumeError    the database holds trials of another space
+-- StageError     a stage of an evaluation failed; the trial fails, the study goes on
    +-- TrainingError   training diverged
"""


class DseError(Exception):
    """What should hold, what came instead, what to do next."""


class SpecError(DseError):
    """A study file, or an override of it, says something that cannot hold."""


class PluginError(DseError):
    """A name or `module:attribute` does not lead to an object."""


class DataError(DseError):
    """A data set is missing, incomplete or damaged."""


class TaskError(DseError):
    """A network or checkpoint cannot be used."""


class StorageError(DseError):
    """The database cannot be opened, read or written."""


class StudyError(DseError):
    """A study or trial does not exist, or another driver owns it."""


class ResumeError(DseError):
    """The database holds trials of another space."""


class LaunchError(DseError):
    """Ray cannot be started or reached, or has no room for a worker."""


class StageError(DseError):
    """A stage of an evaluation failed; the trial fails, the study goes on."""


class TrainingError(StageError):
    """Training diverged."""
