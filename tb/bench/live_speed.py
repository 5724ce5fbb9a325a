#!/usr/bin/env python3
"""Throughput and round-trip time of real programs through the model, beside the same over plain veth.

    sudo tb/bench/live_speed.py PROGRAM [SCENARIO.toml]

PROGRAM is the understudy to measure. Makes two network namespaces and removes them. Prints a table in Markdown:
the median of five rounds each, the rounds interleaved.
"""
import os
import statistics
import subprocess
import sys
import tempfile

NEAR, FAR = "us_speed_a", "us_speed_b"
FILE_BYTES = 50 * 2**20
ROUNDS, PINGS = 5, 500

ECHO_AND_FILES = """
import os, socket, sys, threading
def echo(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := c.recv(65536): c.sendall(data)
def files(c):
    c.recv(65536)
    size = os.path.getsize(sys.argv[1])
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % size)
    with open(sys.argv[1], "rb") as f: c.sendfile(f)
    c.close()
def serve(port, work):
    s = socket.create_server(("10.78.0.2", port), backlog=64)
    while True: threading.Thread(target=work, args=(s.accept()[0],), daemon=True).start()
threading.Thread(target=serve, args=(7, echo), daemon=True).start()
serve(8080, files)
"""

PING = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 7)); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for i in range(int(sys.argv[2]) + 20):
    t = time.perf_counter(); s.sendall(b"x")
    assert s.recv(1) == b"x"
    if i >= 20: print((time.perf_counter() - t) * 1e6)
"""


def run(*words, namespace=NEAR, check=True):
    return subprocess.run(["ip", "netns", "exec", namespace, *words], check=check, capture_output=True, text=True).stdout


def throughput(address):
    """Bytes a second of one download."""
    out = run("curl", "-sS", "-m", "60", "-o", "/dev/null", "-w", "%{speed_download}", f"http://{address}:8080/file")
    return float(out)


def round_trips(address):
    return sorted(float(x) for x in run(sys.executable, "-c", PING, address, str(PINGS)).split())


def main():
    program = os.path.abspath(sys.argv[1])
    scenario = sys.argv[2] if len(sys.argv) > 2 else "traces/scenarios/live.toml"
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "file")
    with open(path, "wb") as f:
        f.write(os.urandom(FILE_BYTES))
    started = []
    try:
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "add", name], check=True)
            run("ip", "link", "set", "lo", "up", namespace=name)
        run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", FAR)
        for ns, dev, ip in ((NEAR, "veth0", "10.78.0.1/24"), (FAR, "veth1", "10.78.0.2/24")):
            run("ip", "addr", "add", ip, "dev", dev, namespace=ns)
            run("ip", "link", "set", dev, "up", namespace=ns)
        started.append(subprocess.Popen(["ip", "netns", "exec", FAR, sys.executable, "-c", ECHO_AND_FILES, path]))
        model = subprocess.Popen(["ip", "netns", "exec", NEAR, program, "live", scenario, "--tap", "us0", "--set",
                                  "app.root=" + folder.name, "--out", os.path.join(folder.name, "out")],
                                 stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        started.append(model)
        while "ready" not in model.stderr.readline():
            if model.poll() is not None:
                sys.exit("the model ended before it was ready")
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "us0")
        run("ip", "link", "set", "us0", "up")
        ways = {"veth": "10.78.0.2", "through the model": "10.77.0.2"}
        for address in ways.values():
            run("curl", "-sS", "--retry", "50", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
                f"http://{address}:8080/file")
        speeds, trips = {w: [] for w in ways}, {w: [] for w in ways}
        for _ in range(ROUNDS):
            for way, address in ways.items():
                speeds[way].append(throughput(address))
                trips[way].append(round_trips(address))
        print("| | download, MB/s | round trip of 1 byte, us: median | 99 % |\n|---|---:|---:|---:|")
        for way in ways:
            median = statistics.median(statistics.median(t) for t in trips[way])
            tail = statistics.median(t[len(t) * 99 // 100] for t in trips[way])
            print(f"| {way} | {statistics.median(speeds[way]) / 1e6:.0f} | {median:.0f} | {tail:.0f} |")
    finally:
        for p in started:
            p.terminate()
        for p in started:
            p.wait()
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "del", name], check=False)


if __name__ == "__main__":
    main()
