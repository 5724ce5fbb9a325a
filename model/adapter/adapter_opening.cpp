// Connections that begin: their first buffer, what commits the handshake, and what announces it to the host.
#include <algorithm>

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
  r.snd_wnd = US_NO_BUF;
  return r;
}

// The connection's first buffer comes from the pool, so that the peer has a window before the host has
// looked.
void adapter::take_pool_buffer(cid c, const tcp_view& v) {
  if (pool_.empty()) {
    ++counters_.pool_empty;
    return;
  }
  connection_buffers& b = buffers(c);
  const receive_buffer p = pool_.pop_front();
  receive_store_.push(b.rx, p);
  b.pool_bytes = p.length;
  b.pool_buffer = p.id;
  deferred_grants_.push_back({c, v.hard.rcv_nxt + p.length});
  engine_->offer(pool_.empty() ? 0 : pool_.front().length);
  if (pool_.size() != pool_peak_ / 4 || !announcer_.gathers()) return;
  announcer_.flush(announce_reason::space);
  output_.call_host();
}

void adapter::name_pool_buffer(const connection_buffers& b, us_record& r) const {
  if (!b.pool_bytes) return;
  r.snd_wnd = b.pool_buffer.raw;
  r.u.conn.pool_kib = static_cast<std::uint16_t>(b.pool_bytes / 1024);
  r.rcv_adv = r.rcv_nxt + b.pool_bytes;
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
  b.told = true;
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
    b.told = true;
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
    b.told = true;
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
    pool_.push_back(receive_store_.front(b.rx));
    engine_->offer(b.pool_bytes);
  }
  return b.told || !(v.hard.conn & US_CONN_PASSIVE);
}

}  // namespace understudy
