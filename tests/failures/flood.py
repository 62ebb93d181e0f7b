"""Floods a node's port: `flood.py HOST PORT CONNECTIONS ADDRESSES`, until stdin ends.

Each connection comes from one of 127.0.0.1 to 127.0.0.ADDRESSES. A third says nothing, a third says
the beginning of a handshake and stops, and a third says a handshake a byte at a time.
"""

import resource
import select
import socket
import sys

host, port, connections, addresses = sys.argv[1], *map(int, sys.argv[2:])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
FIRST = bytes([8, 0, 0, 0, 0x44, 0x53, 4, 65]) + bytes(range(52))
slow = []
opened = 0
for number in range(connections):
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind((f"127.0.0.{1 + number % addresses}", 0))
    connection.connect_ex((host, port))
    slow.append([connection, number % 3, 0])
    opened += 1
    # The oldest are held no longer than there are descriptors for.
    if len(slow) > min(hard - 64, 9_000):
        slow.pop(0)[0].close()
    if number % 64 == 0:
        for entry in slow:
            connection, manner, said = entry
            try:
                if manner == 1 and said == 0:
                    entry[2] = connection.send(FIRST[:20])
                elif manner == 2 and said < len(FIRST):
                    entry[2] += connection.send(FIRST[said:said + 1])
            except OSError:
                entry[1] = 0
    if number == connections // 10:
        print("flooding", flush=True)
print(f"opened {opened}", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    for entry in slow:
        if entry[1] == 2 and entry[2] < len(FIRST):
            try:
                entry[2] += entry[0].send(FIRST[entry[2]:entry[2] + 1])
            except OSError:
                entry[1] = 0
