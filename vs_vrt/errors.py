"""The exceptions that users see; their text is `what is wrong; the remedy in backticks`.

ValueError
└── VrtError              every error that we raise on purpose
    ├── ArgumentError     an argument that cannot be
    ├── ClipError         a clip or a frame that cannot be restored
    ├── CheckpointError   a checkpoint that is missing, damaged or for another network
    ├── DeviceError       a device that does not exist, or cannot do what was asked
    └── OutOfMemory       the device ran out of memory
"""


class VrtError(ValueError):
    """Raised as one of its children; the text has no `vrt:` in front, whoever shows it adds that."""


class ArgumentError(VrtError):
    """An argument that cannot be."""


class ClipError(VrtError):
    """A clip or a frame that cannot be restored."""


class CheckpointError(VrtError):
    """A checkpoint that is missing, damaged or for another network."""


class DeviceError(VrtError):
    """A device that does not exist, or cannot do what was asked."""


class OutOfMemory(VrtError):
    """The device ran out of memory."""
