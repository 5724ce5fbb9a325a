// What a connection costs the model's memory: adapter, shadow, sockets and what the simulation keeps of them.
// The platform is embedded, so that no workload has a share; the peer is a responder, which remembers nothing
// of a connection, and monitors are off.
//
//   connection_memory [CONNECTIONS ...] [--at-most BYTES]     default: 1000 1048576; 1 to 1048576 each
//
// Each count runs in a process of its own. The last column compares with the first row.
#include <fmt/format.h>
#include <sys/wait.h>
#include <understudy/embed.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr std::uint32_t most = 1u << 20;
constexpr std::uint32_t ports_of_peer = 256;  // so that ephemeral ports suffice: 16,384 to each
constexpr std::int64_t millisecond = 1'000'000'000;

std::uint64_t resident_bytes() {
  std::uint64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

[[noreturn]] void give_up(const std::string& what) {
  fmt::print(stderr, "connection_memory: {}: {}\n", what, understudy_message());
  _exit(1);
}

void drop_frames(understudy_platform* u) {
  std::uint8_t room[UNDERSTUDY_FRAME_MAX];
  while (understudy_take_frame(u, room, sizeof room, nullptr) >= 0) {
  }
}

// Opens as many connections, all at once established, and returns the resident set then.
std::uint64_t measure(std::uint32_t connections) {
  const std::string size = fmt::format("adapter.connections={}", connections);
  // One receive buffer of 2 KiB a connection, which nobody touches.
  const char* overrides[] = {"embed.peer=\"responder\"",
                             "topology.adapters=1",
                             "monitors=\"off\"",
                             "memory.buffer_bytes=\"2 KiB\"",
                             "memory.receive_buffer=\"2 KiB\"",
                             size.c_str()};
  understudy_platform* u = understudy_create(nullptr, overrides, std::size(overrides));
  if (!u) give_up("create");
  understudy_station peer;
  if (understudy_peer(u, &peer) != 0) give_up("peer");
  understudy_address to{};
  std::memcpy(to.ip, peer.ip, sizeof to.ip);
  for (std::uint32_t i = 0; i < connections; ++i) {
    to.port = static_cast<std::uint16_t>(1000 + i % ports_of_peer);
    const int fd = understudy_socket(u);
    if (fd != static_cast<int>(i)) give_up("socket");
    if (understudy_connect(u, fd, &to) != -1 || understudy_errno() != EINPROGRESS) give_up("connect");
    if (i % 1024 == 0) drop_frames(u);
  }
  if (understudy_advance(u, understudy_now(u) + 100 * millisecond) != 0) give_up("advance");
  drop_frames(u);
  for (std::uint32_t i = 0; i < connections; ++i)
    if (!(understudy_poll(u, static_cast<int>(i)) & UNDERSTUDY_CONNECTED))
      give_up(fmt::format("connection {} is not established", i));
  return resident_bytes();
}

// The same in a process of its own: a platform is one for the life of a process. 0: it failed, and said why.
std::uint64_t measure_apart(std::uint32_t connections) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  const pid_t child = fork();
  if (child == 0) {
    const std::uint64_t bytes = measure(connections);
    _exit(write(ends[1], &bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
  }
  close(ends[1]);
  std::uint64_t bytes = 0;
  if (child < 0 || read(ends[0], &bytes, sizeof bytes) != sizeof bytes) bytes = 0;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::uint32_t> counts{1000, most};
  std::uint64_t bar = 0;
  CLI::App app{"What a connection costs the model's memory."};
  app.add_option("connections", counts, "numbers of connections to measure with")
      ->check(CLI::Range(1u, most));
  app.add_option("--at-most", bar, "exit status 1 if a connection costs more bytes; 0: report only");
  CLI11_PARSE(app, argc, argv);

  fmt::print("{:>11}  {:>13}  {:>18}\n", "connections", "resident MiB", "bytes a connection");
  std::uint64_t base = 0;
  bool held = true;
  for (const std::uint32_t n : counts) {
    const std::uint64_t bytes = measure_apart(n);
    if (!bytes) return 1;
    if (!base) base = bytes;
    fmt::print("{:>11}  {:>13.1f}", n, static_cast<double>(bytes) / (1 << 20));
    if (n > counts[0]) {
      const std::uint64_t each = (bytes - std::min(bytes, base)) / (n - counts[0]);
      held &= !bar || (each > 0 && each <= bar);
      fmt::print("  {:>18}", each);
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
  if (!held) fmt::print("a connection costs more than {} bytes\n", bar);
  return held ? 0 : 1;
}
