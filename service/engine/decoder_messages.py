"""How the server and a decoder process talk: what either side must know of the other, and no more.

A job is the byte `JOB` that carries the file's descriptor, then a JSON document. Every answer begins with one
byte that tells what follows it.
"""

JOB, STOP = b"J", b"S"  # from the server; any byte without a descriptor is the wish to stop

READY = b"R"  # once, before the first job: it takes files
FORMAT = b"F"  # of the recording, JSON
BLOCK = b"B"  # of mono float32
END = b"E"  # of the recording, with its levels, JSON
ERROR = b"X"  # its class and its message, JSON
STOPPED = b"S"  # nobody wants the rest
LAST = (END, ERROR, STOPPED)  # to a job
