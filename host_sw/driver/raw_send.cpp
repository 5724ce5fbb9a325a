#include "host_sw/driver/raw_send.h"

#include <algorithm>
#include <cstring>

namespace understudy::host {

raw_send::raw_send(hal& h, unsigned interface, tx_buf_pool& pool, post_function post, done_function done,
                   void* context)
    : hal_(h), interface_(interface), pool_(pool), post_(post), done_(done), context_(context) {}

std::uint32_t raw_send::piece(std::uint64_t iova, std::uint32_t bytes, bool more) {
  us_idt_entry e{};
  e.opcode = US_OP_SEND_RAW;
  e.cid = US_NO_CID;
  e.flags = more ? US_RAW_MORE : 0;
  e.u.send.iova_lo = static_cast<std::uint32_t>(iova);
  e.u.send.iova_hi = static_cast<std::uint32_t>(iova >> 32);
  e.u.send.len = bytes;
  ++count_.descriptors;
  hal_.cpu_wrote(iova, bytes);  // by now the stack has composed all of it
  return post_(context_, e);
}

void raw_send::posted(const frame& f) {
  if (first_open_ > 64 && first_open_ * 2 > open_.size()) {
    open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(first_open_));
    first_open_ = 0;
  }
  open_.push_back(f);
}

// Before the descriptor is posted: the adapter may ask at once.
void raw_send::map(frame& f, tx_range range) {
  hal_.dma_map(interface_, range.iova, range.bytes);
  ++count_.maps;
  f.mapped[f.mapped[0].bytes ? 1 : 0] = range;
}

raw_send_counters raw_send::counters() const {
  raw_send_counters c = count_;
  c.pool_empty = pool_.empty();
  return c;
}

void raw_send::xmit(tx_buffer& b, std::uint32_t payload, const std::uint8_t* header,
                    std::uint32_t header_bytes, std::uint64_t cookie) {
  pool_.saw_header(header_bytes);
  if (refused(cookie)) return;
  const bool ours = b.interface == interface_;
  if (ours && header_bytes <= b.headroom) {
    std::memcpy(b.data() - header_bytes, header, header_bytes);
    hal_.spend(work::copy_bytes, header_bytes);
    count_.copied_bytes += header_bytes;
    ++count_.single;
    const std::uint32_t last = piece(b.iova + b.headroom - header_bytes, header_bytes + payload, false);
    posted({last, cookie, &b, nullptr, {}});
    return;
  }
  ++(ours ? count_.no_headroom : count_.other_interface);
  ++count_.gathered;
  tx_buffer* spare = pool_.take();
  if (!spare) {  // the frame cannot be described: nothing of it is sent
    ++count_.failed;
    done_(context_, cookie, false);
    return;
  }
  std::memcpy(spare->base, header, header_bytes);
  hal_.spend(work::copy_bytes, header_bytes);
  count_.copied_bytes += header_bytes;
  frame f{0, cookie, &b, spare, {}};
  if (!ours) map(f, {b.iova + b.headroom, payload});
  piece(spare->iova, header_bytes, true);
  f.last = piece(b.iova + b.headroom, payload, false);
  posted(f);
}

bool raw_send::xmit_in_place(tx_buffer& b, std::uint32_t payload, std::uint32_t header_bytes,
                             std::uint64_t cookie) {
  pool_.saw_header(header_bytes);
  if (header_bytes > b.headroom || b.interface != interface_) return false;
  if (refused(cookie)) return true;
  ++count_.single;
  const std::uint32_t last = piece(b.iova + b.headroom - header_bytes, header_bytes + payload, false);
  posted({last, cookie, &b, nullptr, {}});
  return true;
}

void raw_send::xmit_gather(tx_range header, tx_range payload, std::uint64_t cookie) {
  if (refused(cookie)) return;
  ++count_.gathered;
  frame f{0, cookie, nullptr, nullptr, {}};
  map(f, header);
  map(f, payload);
  piece(header.iova, header.bytes, true);
  f.last = piece(payload.iova, payload.bytes, false);
  posted(f);
}

bool raw_send::completed(const us_record& r) {
  // u.end.index: the last descriptor that is reported; all before are, too. status: of the newest frame; the
  // others were sent.
  const std::uint32_t upto = r.u.end.index;
  if (open() == 0 || static_cast<std::int32_t>(upto - open_[first_open_].last) < 0 ||
      static_cast<std::int32_t>(upto - open_.back().last) > 0)
    return false;
  while (open() && static_cast<std::int32_t>(upto - open_[first_open_].last) >= 0) {
    over(open_[first_open_].last != upto || r.u.end.status == US_OK);
  }
  return true;
}

void raw_send::give_up() {
  for (std::size_t left = open(); left; --left) over(false);
}

void raw_send::abandon() {
  gone_ = true;
  give_up();
}

bool raw_send::refused(std::uint64_t cookie) {
  if (!gone_) return false;
  ++count_.failed;
  done_(context_, cookie, false);
  return true;
}

void raw_send::over(bool sent) {
  const frame f = open_[first_open_++];
  ++(sent ? count_.sent : count_.failed);
  for (const tx_range& r : f.mapped) {
    if (r.bytes == 0) continue;
    hal_.dma_unmap(interface_, r.iova, r.bytes);
    ++count_.unmaps;
  }
  if (f.spare) pool_.give_back(*f.spare);
  if (f.buffer && sent) pool_.give_back(*f.buffer);
  done_(context_, f.cookie, sent);
}

}  // namespace understudy::host
