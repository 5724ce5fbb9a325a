#include "host_sw/apps/streams.h"

#include <array>
#include <cerrno>
#include <vector>

namespace understudy::host {
namespace {

constexpr std::size_t piece = 64 * 1024;        // of one call
constexpr std::size_t turn_bytes = 128 * 1024;  // then others have their turn

// Sessions run one after the other: one room serves all.
std::array<std::uint8_t, piece> room;

// Reads and forgets up to a turn. 1: there may be more, 0: nothing waits now, -1: end of stream.
int throw_away(sockets& net, int fd) {
  for (std::size_t done = 0; done < turn_bytes;) {
    const auto n = net.recv(fd, room.data(), room.size());
    if (n == 0) return -1;
    if (n < 0) return 0;
    done += static_cast<std::size_t>(n);
  }
  return 1;
}

class echo : public session {
  next work(sockets& net, int fd) override {
    for (std::size_t done = 0; done < turn_bytes;) {
      if (!flush(net, fd)) return next::wait;
      const auto n = net.recv(fd, room.data(), room.size());
      if (n == 0) return next::finish;
      if (n < 0) return next::wait;
      const auto got = static_cast<std::size_t>(n);
      const auto sent = net.send(fd, room.data(), got);
      const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
      kept_.assign(room.begin() + static_cast<std::ptrdiff_t>(taken),
                   room.begin() + static_cast<std::ptrdiff_t>(got));
      kept_from_ = 0;
      done += got;
    }
    return next::again;
  }
  // False: the peer takes no more now.
  bool flush(sockets& net, int fd) {
    while (kept_from_ < kept_.size()) {
      const auto n = net.send(fd, kept_.data() + kept_from_, kept_.size() - kept_from_);
      if (n <= 0) return false;
      kept_from_ += static_cast<std::size_t>(n);
    }
    return true;
  }
  std::vector<std::uint8_t> kept_;  // read and not sent yet, from kept_from_ on
  std::size_t kept_from_ = 0;
};

class discard : public session {
  next work(sockets& net, int fd) override {
    const int more = throw_away(net, fd);
    return more < 0 ? next::finish : more ? next::again : next::wait;
  }
};

class pump : public session {
  next work(sockets& net, int fd) override {
    const int more = throw_away(net, fd);
    if (more < 0) return next::finish;
    for (std::size_t done = 0; done < turn_bytes;) {
      for (std::size_t i = 0; i < room.size(); ++i) room[i] = pump_byte(sent_ + i);
      const auto n = net.send(fd, room.data(), room.size());
      if (n <= 0) return more ? next::again : next::wait;
      sent_ += static_cast<std::uint64_t>(n);
      done += static_cast<std::size_t>(n);
    }
    return next::again;
  }
  std::uint64_t sent_ = 0;
};

}  // namespace

std::unique_ptr<session> make_echo() {
  return std::make_unique<echo>();
}
std::unique_ptr<session> make_discard() {
  return std::make_unique<discard>();
}
std::unique_ptr<session> make_pump() {
  return std::make_unique<pump>();
}

}  // namespace understudy::host
