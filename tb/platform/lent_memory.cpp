#include "tb/platform/lent_memory.h"

#include <algorithm>
#include <cstring>

namespace understudy::tb {

void lent_memory::open() {
  if (!use_.zero_copy_receive || in_.cpu) return;
  constexpr std::uint32_t line = host::app_memory::line;
  const std::uint32_t piece =
      std::min(host::app_memory::longest, (use_.window * 2 / pieces + line - 1) / line * line);
  in_ = sockets_.allocate(std::size_t{piece} * pieces);
  for (std::uint32_t i = 0; in_.cpu && i < pieces; ++i) lend(i);
}

void lent_memory::lend(std::uint64_t piece) {
  const std::size_t bytes = in_.bytes / pieces;
  sockets_.lend(fd_, in_.cpu + piece * bytes, bytes, piece);
}

std::size_t lent_memory::write(std::span<const std::uint8_t> bytes) {
  if (!out_.cpu) out_ = sockets_.allocate(use_.send_ring);
  if (!out_.cpu) return 0;
  reap();
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const std::size_t room = out_.bytes - static_cast<std::size_t>(produced_ - returned_);
    const std::size_t at = produced_ % out_.bytes;
    const std::size_t n =
        std::min({bytes.size() - taken, room, out_.bytes - at, std::size_t{host::app_memory::longest}});
    if (n == 0) break;
    sockets_.touch(out_.cpu + at, n, true);
    std::memcpy(out_.cpu + at, bytes.data() + taken, n);
    // The cookie is where the range begins in the stream.
    if (sockets_.send_from(fd_, out_.cpu + at, n, produced_) != host::buffer_status::ok) break;
    if (use_.touch_lent) {
      sockets_.touch(out_.cpu + at, 1, true);
      out_.cpu[at] ^= 0xff;
    }
    produced_ += n;
    taken += n;
  }
  short_ = taken < bytes.size();
  return taken;
}

void lent_memory::reap() {
  host::sent_piece s;
  while (sockets_.sent(fd_, &s)) returned_ = std::max(returned_, s.cookie + s.bytes);
}

bool lent_memory::has_room_again() {
  reap();
  return short_ && produced_ - returned_ < out_.bytes;
}

std::size_t lent_memory::read(std::span<std::uint8_t> room) {
  std::size_t taken = 0;
  while (taken < room.size()) {
    if (read_ == piece_.bytes) {
      if (piece_.done) {
        piece_.done = false;
        lend(piece_.cookie);
      }
      piece_ = {};
      read_ = 0;
      if (!use_.zero_copy_receive || !sockets_.received(fd_, &piece_)) break;
      if (piece_.bytes) sockets_.touch(piece_.data, piece_.bytes, false);
      continue;
    }
    const std::size_t n = std::min<std::size_t>(piece_.bytes - read_, room.size() - taken);
    std::memcpy(room.data() + taken, piece_.data + read_, n);
    read_ += static_cast<std::uint32_t>(n);
    taken += n;
  }
  if (taken) return taken;
  const std::ptrdiff_t n = sockets_.recv(fd_, room.data(), room.size());
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

bool lent_memory::close() {
  host::received_piece p;
  while (in_.cpu && sockets_.received(fd_, &p)) {
  }
  reap();
  bool all = true;
  for (host::dma_region* r : {&in_, &out_}) {
    if (!r->cpu) continue;
    if (sockets_.deallocate(*r) == host::buffer_status::ok) {
      *r = {};
    } else {
      all = false;
    }
  }
  return all;
}

}  // namespace understudy::tb
