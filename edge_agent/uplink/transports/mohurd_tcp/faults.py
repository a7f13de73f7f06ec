"""What can be wrong with what a platform sends: the frame, the cipher, or the text. Pure.

ProtocolFault
├── BadFrame      head, tail, length or check sum: the stream cannot be trusted any more, the connection is closed
├── BadCipher     the content is no whole number of blocks, or not text after deciphering: the keys differ
└── BadText       not the XML of this protocol, or more of it than is read
"""


class ProtocolFault(Exception):
    """A packet that is not taken; the message says why."""


class BadFrame(ProtocolFault):
    """The bytes around the content."""


class BadCipher(ProtocolFault):
    """The content."""


class BadText(ProtocolFault):
    """The text."""
