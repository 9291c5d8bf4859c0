"""What a stranger on the LAN can throw at a daemon: flood.py HOST RATE SECONDS PORT... sends random datagrams of several
kinds, RATE a second over all ports, and prints how many it sent."""
import os, random, socket, sys, time

host, rate, seconds, ports = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), [int(port) for port in sys.argv[4:]]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
seed = 7
random.seed(seed)


def datagram():
    kind = random.randrange(6)
    body = os.urandom(random.randrange(1, 1200))
    if kind == 0:
        return body
    if kind == 1:  # UDX, of a stream that is none
        return bytes([0xFF, 1, random.randrange(64), 0]) + body
    if kind == 2:  # a DHT request, in part
        return bytes([0x03, random.randrange(256)]) + body
    if kind == 3:  # a DHT answer that nobody asked for
        return bytes([0x13, random.randrange(256)]) + body
    if kind == 4:  # a knock
        return b"HP\x01\x01" + os.urandom(20 + 40 * random.randrange(1, 16))
    # multicast DNS: a question for our service, or a response in part
    name = b"\x0a_holo-peer\x04_udp\x05local\x00"
    if random.random() < 0.5:
        return b"\0\0\0\0\0\1\0\0\0\0\0\0" + name + b"\0\x0c\0\1"
    return b"\0\0\x84\0\0\0\0\4\0\0\0\0" + name + body


prepared = [datagram() for _ in range(2000)]
sent, start = 0, time.monotonic()
while time.monotonic() - start < seconds:
    due = int((time.monotonic() - start) * rate)
    while sent < due:
        sender.sendto(prepared[sent % len(prepared)], (host, ports[sent % len(ports)]))
        sent += 1
    time.sleep(0.002)
print(sent)
