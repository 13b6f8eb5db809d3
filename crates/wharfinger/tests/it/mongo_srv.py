# A name server that knows one deployment of MongoDB, whose server is this machine.
import socket
import struct


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


A, SRV = 1, 33
RECORDS = {
    (name("_mongodb._tcp.cluster.example.test"), SRV): struct.pack("!HHH", 0, 0, 27017) + name("db.example.test"),
    (name("db.example.test"), A): bytes([127, 0, 0, 1]),
}

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, client = server.recvfrom(4096)
    end = query.index(b"\0", 12) + 1
    (kind,) = struct.unpack("!H", query[end : end + 2])
    record = RECORDS.get((query[12:end].lower(), kind))
    answer = query[:2] + struct.pack("!HHHHH", 0x8580, 1, 1 if record else 0, 0, 0) + query[12 : end + 4]
    if record:
        answer += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(record)) + record
    server.sendto(answer, client)
