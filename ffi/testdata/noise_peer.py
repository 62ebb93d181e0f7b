"""One side of a handshake, by the package noiseprotocol: `noise_peer.py ROLE KEY PROLOGUE`, in hex.

What goes over the wire is a line each, in hexadecimal: stdin receives, stdout sends.
"""

import sys

from noise.connection import NoiseConnection


def send(data):
    print(bytes(data).hex(), flush=True)


def receive():
    return bytes.fromhex(sys.stdin.readline().strip())


role, key, prologue = sys.argv[1:]
noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_AESGCM_SHA256")
noise.set_psks(bytes.fromhex(key))
noise.set_prologue(bytes.fromhex(prologue))
if role == "initiator":
    noise.set_as_initiator()
    noise.start_handshake()
    send(noise.write_message(b"first of Python"))
    assert noise.read_message(receive()) == b"second"
else:
    noise.set_as_responder()
    noise.start_handshake()
    assert noise.read_message(receive()) == b"first"
    send(noise.write_message(b"second of Python"))
send(noise.encrypt(b"sealed by Python"))
assert noise.decrypt(receive()) == b"sealed"
