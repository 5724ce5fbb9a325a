// Connections that begin: their first buffer, what commits the handshake, and what announces it to the host.
#include <algorithm>
#include <utility>

#include "model/adapter/adapter.h"

namespace understudy {

us_record adapter::connection_record(cid c, const tcp_view& v, us_record_type type) const {
  us_record r = stream_record(c, v, type);
  r.rcv_nxt = v.hard.rcv_nxt.raw;
  const four_tuple& t = v.hard.tuple;
  std::copy(t.remote.bytes.begin(), t.remote.bytes.end(), r.u.conn.peer_ip);
  r.u.conn.local_port = t.local_port;
  r.u.conn.peer_port = t.remote_port;
  r.u.conn.addr_index = v.hard.addr_index;
  r.u.conn.conn = v.hard.conn;
  r.u.conn.wscale = static_cast<std::uint8_t>(v.hard.our_wscale | v.hard.peer_wscale << 4);
  r.u.conn.mss = v.hard.mss;
  r.u.conn.group = connections_[c.index()].group;
  r.snd_wnd = US_NO_BUF;
  return r;
}

// The connection's first buffer comes from the pool, so that the peer has a window before the host has
// looked.
void adapter::take_pool_buffer(cid c, const tcp_view& v) {
  connection_buffers& b = buffers(c);
  connection_traits traits;
  traits.local = v.hard.tuple.local;
  traits.remote = v.hard.tuple.remote;
  traits.local_port = v.hard.tuple.local_port;
  if (v.hard.conn & US_CONN_PASSIVE) {
    const auto terms = listen_terms_.find(std::uint32_t{v.hard.addr_index} << 16 | traits.local_port);
    if (terms != listen_terms_.end()) b.terms = terms->second;
    traits.dscp = arriving_dscp_;
  }
  traits.vlan = addresses_[v.hard.addr_index].vlan;
  traits.terms = b.terms;
  b.group = static_cast<std::uint8_t>(rules_.resolve(traits));
  const taken_buffer taken = pool_->take(b.group);
  if (taken.status != alloc_status::ok) {
    ++counters_.pool_empty;
    return;
  }
  const pool_buffer& p = taken.buffer;
  receive_store_.push(b.rx, {p.at, p.id, p.length, 0, 0});
  b.pool_bytes = p.length;
  b.pool_buffer = p.id;
  b.pool_from = static_cast<std::uint8_t>(taken.from);
  deferred_grants_.push_back({c, v.hard.rcv_nxt + p.length});
  offer_window();
  if (b.group != 0 || pool_->free(0) != pool_peak_ / 4 || !announcer_.gathers()) return;
  announcer_.flush(announce_reason::space);
  output_.call_host();
}

void adapter::name_pool_buffer(const connection_buffers& b, us_record& r) const {
  if (!b.pool_bytes) return;
  r.snd_wnd = b.pool_buffer.raw;
  r.u.conn.pool_kib = static_cast<std::uint16_t>(b.pool_bytes / 1024);
  r.rcv_adv = r.rcv_nxt + b.pool_bytes;
}

// A record names the connection, and its first buffer with it.
void adapter::host_knows(connection_buffers& b) {
  if (!std::exchange(b.told, true) && b.pool_bytes) pool_->settle(b.group);
}

// A SYN was accepted. With bulk announcement only what the host must know before the SYN is acknowledged is
// written now, and no interrupt follows.
void adapter::begin_connection(cid c, const tcp_view& v) {
  connection_buffers& b = buffers(c);
  const bool passive = v.hard.conn & US_CONN_PASSIVE;
  b.held = passive && !announcer_.reserve(v.hard.addr_index, v.hard.tuple.local_port);
  b.credit = passive && !b.held;
  if (!b.held || v.cookie) take_pool_buffer(c, v);
  if (announcer_.gathers() && passive && !v.host_must_know) return;
  write_embryo(c, v);
}

void adapter::write_embryo(cid c, const tcp_view& v) {
  connection_buffers& b = buffers(c);
  const bool commits = v.hard.conn & US_CONN_PROTECTED;
  us_record r = connection_record(c, v, US_REC_EMBRYO);
  name_pool_buffer(b, r);
  host_knows(b);
  announcer_.counters.commit_writes += commits;
  output_.push(r, commits, announcer_.gathers());
}

void adapter::announce_connection(cid c, const tcp_view& v) {
  connection_buffers& b = buffers(c);
  const bool passive = v.hard.conn & US_CONN_PASSIVE;
  const bool is_protected = v.hard.conn & US_CONN_PROTECTED;
  const bool begins = !passive && !b.told;
  b.opened = true;
  if (begins) take_pool_buffer(c, v);
  if (begins && is_protected && announcer_.gathers()) write_embryo(c, v);
  us_record r = connection_record(c, v, US_REC_ESTABLISHED);
  if (!b.told) name_pool_buffer(b, r);
  if (!announcer_.gathers()) {
    host_knows(b);
    ++announcer_.counters.connections;
    ++announcer_.counters.bursts;
    output_.push(r, is_protected);
    announced_.push_back(c);
    return;
  }
  b.gathered = true;
  announcer_.add(r, b.urgent, b.held);
  if (output_.room() < 2 * announcer_.waiting()) announcer_.flush(announce_reason::space);
}

void adapter::write_announcement(std::span<us_record> all) {
  for (us_record& r : all) {
    const cid c{r.cid};
    connection_buffers& b = buffers(c);
    b.gathered = b.held = false;
    host_knows(b);
    announced_.push_back(c);
  }
  output_.push_burst(all);
}

// It ends. True: the host has heard of it, or asked for it, and must hear of its end.
bool adapter::withdraw_connection(cid c, const tcp_view& v) {
  connection_buffers& b = buffers(c);
  const bool waited = b.gathered && announcer_.withdraw(c);
  if (b.credit && (waited || !b.opened)) announcer_.give_back(v.hard.addr_index, v.hard.tuple.local_port);
  b.gathered = false;
  if (!b.told && b.pool_bytes) {
    const receive_buffer& r = receive_store_.front(b.rx);
    pool_->give_back(b.group, b.pool_from, {r.at, r.id, r.length});
    offer_window();
  }
  return b.told || !(v.hard.conn & US_CONN_PASSIVE);
}

}  // namespace understudy
