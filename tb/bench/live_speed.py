#!/usr/bin/env python3
"""Throughput and round-trip time of real programs through the model, beside the same over plain veth.

    sudo tb/bench/live_speed.py PROGRAM... [SCENARIO.toml]

Each PROGRAM is an understudy to measure; several are compared, and one named twice shows what chance does. Makes
network namespaces, one for each and one more, and removes them. Prints a table in Markdown: the median of the
rounds each, the rounds interleaved.
"Processor" is the program's, user and kernel, for 50 MiB one way.
US_SPEED_ROUNDS: how many, else 5.
"""
import os
import statistics
import subprocess
import sys
import tempfile

NEAR, FAR = "us_speed_a", "us_speed_b"  # the programs' namespaces have a number behind NEAR
FILE_BYTES = 50 * 2**20
ROUNDS, PINGS = int(os.environ.get("US_SPEED_ROUNDS", 5)), 500

ECHO_AND_FILES = """
import os, socket, sys, threading
def echo(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := c.recv(65536): c.sendall(data)
def files(c):
    asked = c.recv(65536)
    head, _, body = asked.partition(b"\\r\\n\\r\\n")
    if head.startswith(b"POST"):
        left = int(head.lower().split(b"content-length:")[1].split()[0]) - len(body)
        while left > 0: left -= len(c.recv(2**20))
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        return c.close()
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


def run(*words, namespace, check=True):
    return subprocess.run(["ip", "netns", "exec", namespace, *words], check=check, capture_output=True, text=True).stdout


def download(namespace, address, _):
    """Bytes a second."""
    return float(run("curl", "-sS", "-m", "60", "-o", "/dev/null", "-w", "%{speed_download}", f"http://{address}:8080/file",
                     namespace=namespace))


def upload(namespace, address, path):
    """The same the other way; what arrives is kept nowhere."""
    return float(run("curl", "-sS", "-m", "60", "-o", "/dev/null", "-w", "%{speed_upload}", "-X", "POST", "-H", "Expect:",
                     "-T", path, f"http://{address}:8080/", namespace=namespace))


def round_trips(namespace, address):
    out = run(sys.executable, "-c", PING, address, str(PINGS), namespace=namespace)
    return sorted(float(x) for x in out.split())


def processor(pid):
    """Seconds that a process has had, user and kernel."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_model(program, scenario, folder, namespace, started):
    """The process, which runs until `started` is ended."""
    model = subprocess.Popen(["ip", "netns", "exec", namespace, program, "live", scenario, "--tap", "us0", "--set",
                              "app.root=" + folder, "--out", os.path.join(folder, namespace)],
                             stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    started.append(model)
    while "ready" not in model.stderr.readline():
        if model.poll() is not None:
            sys.exit(f"{program} ended before it was ready")
    run("ip", "addr", "add", "10.77.0.1/24", "dev", "us0", namespace=namespace)
    run("ip", "link", "set", "us0", "up", namespace=namespace)
    return model.pid


def main():
    words = sys.argv[1:]
    scenario = words.pop() if words and words[-1].endswith(".toml") else "traces/scenarios/live.toml"
    programs = [os.path.abspath(w) for w in words]
    if not programs:
        sys.exit(__doc__)
    near = [f"{NEAR}{i}" for i in range(len(programs))]
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "file")
    with open(path, "wb") as f:
        f.write(os.urandom(FILE_BYTES))
    started = []
    try:
        for name in (*near, FAR):
            subprocess.run(["ip", "netns", "add", name], check=True)
            run("ip", "link", "set", "lo", "up", namespace=name)
        run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", FAR, namespace=near[0])
        for ns, dev, ip in ((near[0], "veth0", "10.78.0.1/24"), (FAR, "veth1", "10.78.0.2/24")):
            run("ip", "addr", "add", ip, "dev", dev, namespace=ns)
            run("ip", "link", "set", dev, "up", namespace=ns)
        started.append(subprocess.Popen(["ip", "netns", "exec", FAR, sys.executable, "-c", ECHO_AND_FILES, path]))
        ways, pids = {"veth": (near[0], "10.78.0.2")}, {}
        for number, (program, namespace) in enumerate(zip(programs, near), 1):
            way = "through the model" + (f", {number}: {program}" if len(programs) > 1 else "")
            pids[way] = start_model(program, scenario, folder.name, namespace, started)
            ways[way] = (namespace, "10.77.0.2")
        for namespace, address in ways.values():
            run("curl", "-sS", "--retry", "50", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
                f"http://{address}:8080/file", namespace=namespace)
        moves = (download, upload)
        speeds, costs = ({(w, m): [] for w in ways for m in moves} for _ in range(2))
        trips = {w: [] for w in ways}
        for _ in range(ROUNDS):
            for way, at in ways.items():
                for move in moves:
                    before = processor(pids[way]) if way in pids else 0
                    speeds[way, move].append(move(*at, path))
                    if way in pids:
                        costs[way, move].append(processor(pids[way]) - before)
                trips[way].append(round_trips(*at))
        print("| | download, MB/s | processor, ms | upload, MB/s | processor, ms | round trip of 1 byte, us: median | 99 % |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for way in ways:
            cells = []
            for move in moves:
                cost = costs[way, move]
                cells += [f"{statistics.median(speeds[way, move]) / 1e6:.0f}",
                          f"{statistics.median(cost) * 1e3:.0f}" if cost else ""]
            median = statistics.median(statistics.median(t) for t in trips[way])
            tail = statistics.median(t[len(t) * 99 // 100] for t in trips[way])
            print(f"| {way} | {' | '.join(cells)} | {median:.0f} | {tail:.0f} |")
    finally:
        for p in started:
            p.terminate()
        for p in started:
            p.wait()
        for name in (*near, FAR):
            subprocess.run(["ip", "netns", "del", name], check=False)


if __name__ == "__main__":
    main()
