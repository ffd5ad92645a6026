"""Prints numbered lines as fast as it can for some seconds, then says how that went: SECONDS RESULT

The result is one line in a file: bytes written, seconds, longest single write in seconds, last number.
"""

import os
import pathlib
import sys
import time

LINES = 80
seconds, result = float(sys.argv[1]), sys.argv[2]
text = " a line of an ordinary length, as a service under load would print it, with some words in it\n"
number = written = 0
longest = 0.0
began = now = time.monotonic()
while now - began < seconds:
    block = "".join([f"{each:012d}{text}" for each in range(number, number + LINES)]).encode()
    before = time.monotonic()
    sent = 0
    while sent < len(block):
        sent += os.write(1, block[sent:])
    now = time.monotonic()
    longest = max(longest, now - before)
    number += LINES
    written += len(block)
part = pathlib.Path(f"{result}.part")
part.write_text(f"{written} {now - began} {longest} {number - 1}\n")
part.rename(result)
time.sleep(3600)
