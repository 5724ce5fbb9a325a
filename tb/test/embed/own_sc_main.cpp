// A program with an sc_main of its own, linked with libunderstudy.so: it keeps it. It plays one conversation
// with losses and a death, and prints every frame that an adapter emitted and the hash of all events. The
// arguments are overrides.
#include <understudy/embed.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <vector>

extern "C" int sc_main(int, char**) {
  return 42;
}

namespace {

constexpr int64_t us = 1'000'000;
constexpr int64_t ms = 1000 * us;

unsigned print_frames(understudy_platform* u) {
  static std::uint8_t room[UNDERSTUDY_FRAME_MAX];
  unsigned frames = 0;
  understudy_frame info;
  for (std::ptrdiff_t n; (n = understudy_take_frame(u, room, sizeof room, &info)) >= 0; ++frames) {
    std::printf("%" PRId64 " %u ", info.at, info.adapter);
    for (std::ptrdiff_t i = 0; i < n; ++i) std::printf("%02x", room[i]);
    std::printf("\n");
  }
  return frames;
}

int fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, understudy_message());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (sc_main(0, nullptr) != 42) return fail("another sc_main");
  std::vector<const char*> overrides{"topology.adapters=2", "embed.peer=lwip", "wire.impair=loss 5%"};
  overrides.insert(overrides.end(), argv + 1, argv + argc);
  understudy_platform* u = understudy_create(nullptr, overrides.data(), overrides.size());
  if (!u) return fail("understudy_create");
  understudy_station peer;
  if (understudy_peer(u, &peer) != 0) return fail("understudy_peer");
  understudy_address to = {};
  std::copy(std::begin(peer.ip), std::end(peer.ip), to.ip);
  to.port = 7;
  const int s = understudy_socket(u);
  understudy_connect(u, s, &to);
  while (!(understudy_poll(u, s) & UNDERSTUDY_CONNECTED))
    if (understudy_wait(u, understudy_now(u) + 10'000 * ms, UNDERSTUDY_WAKE_SOCKET) <= 0)
      return fail("no connection");
  const std::vector<char> data(20'000, 'x');
  understudy_write(u, s, data.data(), data.size());
  understudy_advance(u, understudy_now(u) + 100 * us);
  if (understudy_kill(u, -1) != 0) return fail("understudy_kill");
  unsigned frames = 0;
  std::size_t echoed = 0;
  std::vector<char> room(4096);
  for (int i = 0; i < 2000 && echoed < data.size(); ++i) {
    understudy_advance(u, understudy_now(u) + 10 * ms);
    frames += print_frames(u);
    for (std::ptrdiff_t n; (n = understudy_read(u, s, room.data(), room.size())) > 0;)
      echoed += static_cast<std::size_t>(n);
  }
  std::printf("frames %u echoed %zu violations %" PRId64 " hash %016" PRIx64 "\n", frames, echoed,
              understudy_violations(u), understudy_hash(u));
  return echoed == data.size() ? 0 : fail("not everything came back");
}
