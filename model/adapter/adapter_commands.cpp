// Input descriptors: fetched in batches behind the doorbell, checked, executed in order.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "model/adapter/adapter.h"
#include "model/adapter/descriptor_ring.h"

namespace understudy {

namespace {

ip_address address_from(const std::uint8_t (&bytes)[16]) {
  ip_address a;
  std::copy(std::begin(bytes), std::end(bytes), a.bytes.begin());
  return a;
}

constexpr std::uint32_t max_range = 1u << 20;  // bytes of a send range or receive buffer

}  // namespace

// One DMA read at a time, never across the end of the ring.
void adapter::fetch_descriptors() {
  if (fetching_ || idt_head_ == idt_tail_ || !(control_ & US_CONTROL_ENABLE)) return;
  const descriptor_batch b = next_batch(idt_head_, idt_tail_, regs_[US_REG_IDT_SIZE / 4],
                                        config_.descriptors_a_fetch, config_.mutants.fetch_beyond_tail);
  const iova base{static_cast<std::uint64_t>(regs_[US_REG_IDT_BASE_HI / 4]) << 32 |
                  regs_[US_REG_IDT_BASE_LO / 4]};
  fetching_ = true;
  dma.read(base + b.offset, (b.count + b.beyond) * US_ENTRY_BYTES, fetched_.data(), fetched_,
           [this, first = idt_head_, n = b.count](bool ok) {
             if (!ok) {  // the ring is not where the driver said: nothing more can be understood
               status_ |= US_STATUS_FATAL;
               raise_interrupt(US_VECTOR_HEALTH);
               return;
             }
             execute_fetched(first, n);
           });
}

void adapter::execute_fetched(std::uint32_t first, std::uint32_t count) {
  agenda_.in(count * config_.descriptor_time, [this, first, count] {
    for (std::uint32_t i = 0; i < count && !dead_; ++i) {
      us_idt_entry e;
      std::memcpy(&e, fetched_.data() + std::size_t{i} * US_ENTRY_BYTES, sizeof e);
      idt_head_ = first + i + 1;
      output_.set_idt_head(idt_head_);
      output_.input_executed(first + i, e.opcode == US_OP_CONNECT);
      ++counters_.descriptors;
      us_status s = seal_of(e, first + i);
      if (s != US_OK || e.opcode != US_OP_INLINE) give_inline_up();
      if (s == US_OK && e.opcode == US_OP_SEND_RAW) {
        take_raw_piece(e, first + i);
      } else if (s == US_OK) {
        s = execute(e);
      }
      if (s != US_OK) refuse(e, first + i, s);
    }
    // The host learns that slots are free again even when nothing else is to be said.
    if (idt_head_ - output_.reported_idt_head() >= regs_[US_REG_IDT_SIZE / 4] / 4) {
      us_record r{};
      r.type = US_REC_CREDIT;
      r.cid = US_NO_CID;
      output_.push(r, false);
    }
    fetching_ = false;
    fetch_descriptors();
    after_engine();
  });
}

void adapter::refuse(const us_idt_entry& e, std::uint32_t index, us_status why) {
  ++counters_.refused;
  us_record r{};
  r.type = US_REC_REFUSED;
  r.cid = e.cid;
  r.u.end.status = why;
  r.u.end.opcode = e.opcode;
  r.u.end.index = index;
  output_.push(r, false);
}

us_status adapter::execute(const us_idt_entry& e) {
  const cid c{e.cid};
  const picos now = now_ps();
  switch (e.opcode) {
    case US_OP_SET_ADDRESS:
    case US_OP_LISTEN:
    case US_OP_UNLISTEN:
    case US_OP_CONNECT:
    case US_OP_POST_POOL:
    case US_OP_NOP:
    case US_OP_RESTORE:
    case US_OP_ACCEPTED:
    case US_OP_SET_GROUP:
      break;
    case US_OP_FLUSH:
      if (e.cid == US_NO_CID) break;
      [[fallthrough]];
    default:
      if (e.opcode >= US_OP_OPCODES) return US_ERR_BAD_OPCODE;
      if (c.index() >= connections_.size() || !engine_->known(c)) return US_ERR_BAD_CID;
  }
  switch (e.opcode) {
    case US_OP_NOP:
      return US_OK;
    case US_OP_SET_ADDRESS:
      return set_address(e);
    case US_OP_LISTEN:
    case US_OP_UNLISTEN:
    case US_OP_ACCEPTED:
      return listen(e);
    case US_OP_FLUSH:
      if (e.cid != US_NO_CID) {
        if (const std::uint16_t slot = buffers(c).hold; slot != no_hold) hand_over(slot);
        return US_OK;
      }
      announcer_.flush(announce_reason::flush);
      return US_OK;
    case US_OP_SET_GROUP:
      return set_group(e);
    case US_OP_CONNECT:
      return connect(e);
    case US_OP_SEND:
      return e.flags & US_SEND_INLINE ? begin_inline(e) : post_send(e);
    case US_OP_INLINE:
      return take_inline(e);
    case US_OP_POST_RX:
    case US_OP_POST_POOL:
      return post_receive(e);
    case US_OP_CLOSE:
      return engine_->post_fin(now, c, seq32{e.u.send.seq_end});
    case US_OP_ABORT:
      return engine_->abort(now, c);
    case US_OP_RESTORE:
      return restore(e);
    case US_OP_SET_OPTIONS: {
      const auto& o = e.u.set_options;
      buffers(c).terms.memory =
          static_cast<std::uint8_t>((o.options & US_OPT_DIRECT ? US_MEM_DIRECT : 0u) |
                                    (o.options & US_OPT_EXPEDITE ? US_MEM_EXPEDITE : 0u));
      return engine_->set_options(now, c,
                                  {.nagle = (o.options & US_OPT_NAGLE) != 0,
                                   .keepalive = (o.options & US_OPT_KEEPALIVE) != 0,
                                   .keepalive_idle_s = o.keepalive_idle_s});
    }
    default:
      return US_ERR_BAD_OPCODE;
  }
}

us_status adapter::set_address(const us_idt_entry& e) {
  const auto& s = e.u.set_address;
  if (s.addr_index >= US_ADDRESSES || s.prefix_len > 128 || s.vlan > US_VLAN_MOST) return US_ERR_BAD_ADDRESS;
  const ip_address ip = address_from(s.ip);
  if (ip.is_group()) return US_ERR_BAD_ADDRESS;
  const local_address* const other = address_of(ip);
  if (other && other != &addresses_[s.addr_index]) return US_ERR_IN_USE;
  local_address& a = addresses_[s.addr_index];
  a.set = true;
  a.vlan = s.vlan;
  std::copy(std::begin(s.mac), std::end(s.mac), a.mac.begin());
  a.ip = ip;
  a.gateway = address_from(s.gateway);
  a.prefix_len = s.prefix_len;
  if (control_ & US_CONTROL_RX_ENABLE) announce_addresses();
  return US_OK;
}

us_status adapter::listen(const us_idt_entry& e) {
  const auto& l = e.u.listen;
  if (l.addr_index >= US_ADDRESSES || !addresses_[l.addr_index].set) return US_ERR_BAD_ADDRESS;
  const ip_address& ip = addresses_[l.addr_index].ip;
  if (e.opcode == US_OP_ACCEPTED)
    return announcer_.accepted(l.addr_index, l.port, l.credits) ? US_OK : US_ERR_BAD_STATE;
  if (e.opcode == US_OP_UNLISTEN) {
    if (!engine_->unlisten(ip, l.port)) return US_ERR_IN_USE;
    listen_terms_.erase(std::uint32_t{l.addr_index} << 16 | l.port);
    announcer_.unlisten(l.addr_index, l.port);
    return US_OK;
  }
  const bool is_protected = e.flags & US_CONN_PROTECTED;
  const bool speaks_first = e.flags & US_LISTEN_SPEAKS_FIRST;
  if (l.commit > US_COMMIT_LAZY || (speaks_first && is_protected && l.commit == US_COMMIT_BEFORE_DATA_ACK))
    return US_ERR_BAD_STATE;
  listen_terms t;
  t.commit = is_protected ? static_cast<us_commit_policy>(l.commit) : US_COMMIT_LAZY;
  t.cookies_above = l.cookies_above;
  t.speaks_first = speaks_first;
  t.gathered = true;
  if (e.flags & US_LISTEN_TAKEOVER) t.cookies_until = now_ps() + tcp_engine::cookie_life;
  if (!engine_->listen(ip, l.port, l.addr_index, l.backlog, e.flags & US_CONN_PROTECTED, t))
    return US_ERR_IN_USE;
  listen_terms_[std::uint32_t{l.addr_index} << 16 | l.port] = l.memory;
  announcer_.listen(l.addr_index, l.port, l.credits, e.flags & US_LISTEN_URGENT);
  return US_OK;
}

us_status adapter::connect(const us_idt_entry& e) {
  const auto& d = e.u.connect;
  if (d.addr_index >= US_ADDRESSES || !addresses_[d.addr_index].set) return US_ERR_BAD_ADDRESS;
  const local_address& from = addresses_[d.addr_index];
  const four_tuple t{from.ip, address_from(d.peer_ip), d.local_port, d.peer_port};
  if (!t.remote.is_station() || is_broadcast_of(t.remote, from.ip, from.prefix_len))
    return US_ERR_BAD_ADDRESS;
  const cid c = engine_->connect(now_ps(), t, d.addr_index, seq32{d.iss}, e.flags & US_CONN_PROTECTED);
  if (!c.valid()) return US_ERR_NO_RESOURCES;
  buffers(c).urgent = e.flags & US_LISTEN_URGENT;
  buffers(c).terms = d.memory;
  return US_OK;
}

// A SEND whose first bytes stand in it. What does not fit comes in the entries that follow.
us_status adapter::begin_inline(const us_idt_entry& e) {
  const auto& d = e.u.send;
  if (d.len == 0 || d.len > US_INLINE_MOST) return US_ERR_BAD_LENGTH;
  const bool more = d.len > sizeof d.data;
  if (more) inline_for_ = cid{e.cid};
  if (inline_ranges_ >= config_.inline_ranges) {
    ++counters_.inline_missed;
    return post_send(e);
  }
  frame_ref bytes = frame_ref::make(d.len);
  const auto here = std::min<std::uint32_t>(d.len, sizeof d.data);
  std::memcpy(bytes.data(), d.data, here);
  if (!more) return post_send(e, std::move(bytes));
  inline_send_ = e;
  inline_index_ = idt_head_ - 1;
  inline_bytes_ = std::move(bytes);
  inline_have_ = here;
  return US_OK;
}

us_status adapter::take_inline(const us_idt_entry& e) {
  if (!inline_for_.valid()) return US_ERR_BAD_STATE;
  if (cid{e.cid} != inline_for_) {
    give_inline_up();
    return US_ERR_BAD_CID;
  }
  if (!inline_bytes_) return US_OK;  // there was no room for them
  const auto n = std::min<std::uint32_t>(inline_bytes_.size() - inline_have_, sizeof e.u.inline_data);
  std::memcpy(inline_bytes_.data() + inline_have_, e.u.inline_data, n);
  inline_have_ += n;
  if (inline_have_ < inline_bytes_.size()) return US_OK;
  inline_for_ = {};
  return post_send(inline_send_, std::move(inline_bytes_));
}

// The rest does not come: the bytes are read from where they lie.
void adapter::give_inline_up() {
  inline_for_ = {};
  if (!inline_bytes_) return;
  inline_bytes_ = {};
  ++counters_.inline_missed;
  if (!engine_->known(cid{inline_send_.cid})) return;
  if (const us_status s = post_send(inline_send_); s != US_OK) refuse(inline_send_, inline_index_, s);
}

// The oldest range is acknowledged, or nobody wants it any more.
void adapter::drop_sent(connection_buffers& b) {
  send_range& s = send_store_.front(b.tx);
  if (s.bytes) --inline_ranges_;
  s.bytes = {};
  send_store_.pop(b.tx);
}

us_status adapter::post_send(const us_idt_entry& e, frame_ref bytes) {
  const auto& d = e.u.send;
  if (d.len == 0 || d.len > max_range) return US_ERR_BAD_LENGTH;
  const cid c{e.cid};
  const seq32 end{d.seq_end};
  connection_buffers& b = buffers(c);
  if (!b.tx.empty() && end - d.len != b.tx_end) return US_ERR_BAD_SEQUENCE;
  if (bytes) {
    ++counters_.inline_sends;
    ++inline_ranges_;
  }
  send_store_.push(b.tx, {end - d.len, d.len, iova{static_cast<std::uint64_t>(d.iova_hi) << 32 | d.iova_lo},
                          std::move(bytes)});
  b.tx_end = end;
  return engine_->post_send(now_ps(), c, end);
}

us_status adapter::post_receive(const us_idt_entry& e) {
  const auto& d = e.u.rx;
  if (d.len == 0 || d.len > max_range) return US_ERR_BAD_LENGTH;
  const receive_buffer r{iova{static_cast<std::uint64_t>(d.iova_hi) << 32 | d.iova_lo}, buf_id{d.buf_id},
                         d.len, 0, d.base_off};
  if (e.opcode == US_OP_POST_POOL) return post_pool(r, d.group);
  const cid c{e.cid};
  connection_buffers& b = buffers(c);
  const bool direct = e.flags & US_RX_DIRECT;
  receive_store_.push(direct ? b.direct : b.rx, r);
  if (direct) serve_waiting(c, false);
  return engine_->grant(now_ps(), c, seq32{d.edge});
}

us_status adapter::restore(const us_idt_entry& e) {
  const auto& d = e.u.restore;
  const cid c{e.cid};
  if (c.index() >= connections_.size()) return US_ERR_BAD_CID;
  if (d.addr_index >= US_ADDRESSES) return US_ERR_BAD_ADDRESS;
  if (d.state > US_TCP_TIME_WAIT) return US_ERR_BAD_STATE;  // no value of the enumeration
  tcp_hard_state h;
  h.tuple = {addresses_[d.addr_index].ip, address_from(d.peer_ip), d.local_port, d.peer_port};
  h.state = static_cast<us_tcp_state>(d.state);
  h.conn = d.conn;
  h.addr_index = d.addr_index;
  h.our_wscale = d.wscale & 15;
  h.peer_wscale = d.wscale >> 4;
  h.mss = d.mss;
  h.iss = seq32{d.iss};
  h.rcv_nxt = seq32{d.rcv_nxt};
  h.snd_una = seq32{d.snd_una};
  h.snd_max = seq32{d.snd_max};
  h.rcv_adv = seq32{d.rcv_adv};
  h.fin_tx = d.fin & US_FIN_TX;
  h.fin_rx = d.fin & US_FIN_RX;
  const us_status s = engine_->restore(now_ps(), c, h);
  if (s == US_OK) {  // an earlier use's lists go
    connection_buffers& b = buffers(c);
    b.told = true;
    b.opened = h.state > US_TCP_SYN_RCVD;
    b.terms.memory = d.memory;
    b.group = d.group;
  }
  return s;
}

}  // namespace understudy
