// What commit records do to the host's knowledge.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host_sw/driver/driver_core.h"
#include "host_sw/driver/restore.h"

namespace understudy::host {
namespace {

int errno_of(std::uint32_t status) {
  switch (status) {
    case US_ERR_RESET:
      return ECONNRESET;
    case US_ERR_TIMEOUT:
      return ETIMEDOUT;
    case US_ERR_REFUSED:
      return ECONNREFUSED;
    case US_ERR_NO_RESOURCES:
      return ENOBUFS;
    case US_ERR_ABORTED:
      return ECONNABORTED;
    case US_ERR_IN_USE:
      return EADDRINUSE;
    case US_ERR_BAD_ADDRESS:
      return EADDRNOTAVAIL;
    default:
      return EIO;
  }
}

tuple_key key_of(const us_record& r) {
  tuple_key k;
  std::memcpy(k.peer_ip.data(), r.u.conn.peer_ip, k.peer_ip.size());
  k.local_port = r.u.conn.local_port;
  k.peer_port = r.u.conn.peer_port;
  k.addr_index = r.u.conn.addr_index;
  return k;
}

}  // namespace

unsigned driver_core::consume(device& d, unsigned budget) {
  batch b(*this);
  unsigned n = 0;
  us_record r;
  for (; n < budget; ++n) {
    const odt_ring::look look = d.odt.peek(&r);
    if (look == odt_ring::look::corrupt && (!d.alive || recovery.fail(d.number()))) ++count.bad_records;
    if (look != odt_ring::look::record) break;
    d.odt.consume();
    hw.spend(work::read_cold_record, 1);
    if (static_cast<std::int16_t>(r.epoch - d.epoch) < 0) {
      ++count.late_records;
      continue;
    }
    if (r.epoch != d.epoch) {
      ++count.bad_records;
      continue;
    }
    ++count.records;
    for (driver_observer* o : observers) o->on_record(d.number(), r);
    if (!apply(d, r)) ++count.bad_records;
  }
  return n;
}

void driver_core::service(device& d) {
  if (!d.alive || recovery.noted(d.number())) return;
  batch b(*this);
  const unsigned budget = std::min(256u, d.odt.entries() / 2);
  for (unsigned left = budget;;) {
    left -= consume(d, left);
    if (recovery.noted(d.number())) return;  // its ring is damaged
    d.ring_odt();
    // A record that came before the doorbell has armed the interrupt has none: look once more.
    if (!d.odt.waiting()) return;
    if (left == 0) break;
  }
  if (std::exchange(d.paused, true)) return;
  d.service_timer = hw.timer_start(
      0,
      [](void* p) {
        auto* c = static_cast<irq_context*>(p);
        device& again = c->core->devices[c->adapter];
        again.paused = false;
        c->core->service(again);
      },
      &contexts_[d.number()]);
}

bool driver_core::apply(device& d, const us_record& r) {
  if (d.alive && !d.idt.consumed_to(r.idt_head)) return false;
  if (r.type == US_REC_CREDIT) return true;
  if (r.type == US_REC_REFUSED) return on_refused(d, r);
  if (r.type == US_REC_RAW) return on_raw(d, r);
  if (r.type == US_REC_TX_STOPPED) return on_tx_stopped(d, r);
  if (!d.serving) return false;
  switch (r.type) {
    case US_REC_EMBRYO:
      return on_embryo(d, r);
    case US_REC_ESTABLISHED:
      return on_established(d, r);
    case US_REC_ABORTED:
      return on_ended(d, r, errno_of(r.u.end.status));
    case US_REC_CLOSED:
      return on_ended(d, r, config.mutants.false_alarm ? ECONNRESET : 0);
    case US_REC_DATA:
    case US_REC_ACKED:
    case US_REC_TIME_WAIT:
      break;
    default:
      return false;
  }
  connection* c = table.find(cid{r.cid});
  if (!c || c->phase != conn_phase::open) return false;
  const seq32 una{r.snd_una};
  if (una.after(c->h_post_end)) return false;
  bool good = true;
  if (r.type == US_REC_DATA) good = on_data(*c, r);
  if (r.type == US_REC_TIME_WAIT) good = on_time_wait(*c, una);
  if (!good) return false;
  c->rcv_adv = later(c->rcv_adv, earlier(seq32{r.rcv_adv}, c->edge));
  advance_una(*c, una);
  return true;
}

// ---------------------------------------------------------------- handshakes

bool driver_core::usable_cid(const device& d, cid id) const {
  return id.valid() && id.index() < d.max_connections && !table.index_in_use(id.index());
}

bool driver_core::pool_buffer_ok(const device& d, const us_record& r) {
  if (r.snd_wnd == US_NO_BUF) return true;
  const rx_buffer* b = buffers.find(buf_id{r.snd_wnd});
  return b && b->holder == buffer_holder::adapter_pool && b->adapter == d.number() &&
         r.u.conn.pool_kib * 1024u == b->bytes;
}

void driver_core::attach_pool_buffer(device& d, connection& c, const us_record& r) {
  c.edge = c.h_rcv;
  c.group = r.u.conn.group < groups.size() ? r.u.conn.group : std::uint8_t{0};
  if (r.snd_wnd == US_NO_BUF) return;
  const buf_id id{r.snd_wnd};
  rx_buffer& b = *buffers.find(id);
  b.holder = buffer_holder::connection;
  --d.pool_posted[b.group];
  const std::uint32_t bytes = b.bytes;
  c.edge += bytes;
  c.rx.push_back({id, bytes, 0, 0, true});
  fill_pool(d);
}

void driver_core::take_facts(connection& c, const us_record& r) {
  c.conn_bits = r.u.conn.conn;
  c.wscale = r.u.conn.wscale;
  c.mss = r.u.conn.mss;
}

void driver_core::announce_connection(const connection& c) {
  if (observers.empty()) return;
  const connection_facts f = facts_of(c, config);
  for (driver_observer* o : observers) o->on_connection(f);
}

// A connection that the peer opened and that no record has named before; null: the record is bad.
connection* driver_core::accept_embryo(device& d, const us_record& r, seq32 iss) {
  const tuple_key key = key_of(r);
  if (!usable_cid(d, cid{r.cid}) || key.addr_index >= config.addresses.size() || table.find(key) ||
      !pool_buffer_ok(d, r))
    return nullptr;
  connection* c = table.create(key);
  if (!c) return nullptr;
  table.bind(*c, cid{r.cid});
  c->phase = conn_phase::embryo;
  c->on_adapter = true;
  c->iss = c->h_una = iss;
  c->h_post_end = c->freed = iss + 1;
  c->irs_next = c->h_rcv = seq32{r.rcv_nxt};
  take_facts(*c, r);
  int number = -1;
  if (const listener* l = find_listener(key.addr_index, key.local_port, &number)) c->options = l->options;
  c->listener = number;
  attach_pool_buffer(d, *c, r);
  announce_connection(*c);
  post_options(*c);
  if (number < 0) request_abort(*c, ECONNABORTED);  // the listener was closed meanwhile
  return c;
}

// The first that a record says of a connection of connect().
bool driver_core::bind_connecting(device& d, connection& c, const us_record& r) {
  if (c.phase != conn_phase::connecting || !usable_cid(d, cid{r.cid}) || !pool_buffer_ok(d, r)) return false;
  connecting.erase(c.iss.raw);
  table.bind(c, cid{r.cid});
  c.irs_next = c.h_rcv = seq32{r.rcv_nxt};
  take_facts(c, r);
  attach_pool_buffer(d, c, r);
  announce_connection(c);
  return true;
}

bool driver_core::on_embryo(device& d, const us_record& r) {
  const seq32 una{r.snd_una};
  connection* c = table.find(key_of(r));
  if (!c) return accept_embryo(d, r, una) != nullptr;
  if ((una != c->iss && una != c->iss + 1) || !bind_connecting(d, *c, r)) return false;
  c->phase = conn_phase::embryo;
  c->h_una = una;
  c->on_adapter = current == d.number();
  if (c->aborting && c->on_adapter) post(devices[current], abort_descriptor(*c));
  return true;
}

bool driver_core::on_established(device& d, const us_record& r) {
  const seq32 una{r.snd_una};
  connection* c = table.find(cid{r.cid});
  if (c) {
    if (c->phase != conn_phase::embryo || una != c->iss + 1 || seq32{r.rcv_nxt} != c->h_rcv ||
        c->key != key_of(r))
      return false;
  } else if ((c = table.find(key_of(r)))) {
    if (una != c->iss + 1 || !bind_connecting(d, *c, r)) return false;
  } else if (!(c = accept_embryo(d, r, una - 1))) {
    return false;
  }
  take_facts(*c, r);
  c->h_una = una;
  c->freed = c->first_byte();
  c->on_adapter = current == d.number();
  establish(*c);
  return true;
}

void driver_core::establish(connection& c) {
  const bool passive = !c.opened_here;
  const bool abort_posted = c.phase == conn_phase::embryo;
  if (!passive) post_options(c);
  c.phase = conn_phase::open;
  if (c.aborting) {
    if (!abort_posted && c.on_adapter) post(devices[current], abort_descriptor(c));
    return;
  }
  if (passive) {
    if (!user || !listeners[static_cast<std::size_t>(c.listener)].open) {
      request_abort(c, ECONNABORTED);
      return;
    }
    c.owned = true;
  }
  grant(c);
  if (!user || !c.owned) return;
  told_ = true;
  if (passive) {
    ++listeners[static_cast<std::size_t>(c.listener)].queued;
    user->on_accepted(c.listener, c.handle);
  } else {
    user->on_connected(c.handle);
  }
}

void driver_core::establish_committed(connection& c) {
  if (c.phase != conn_phase::embryo || !c.opened_here || c.h_una == c.iss) return;
  c.freed = c.first_byte();
  establish(c);
}

// ---------------------------------------------------------------- streams

bool driver_core::on_data(connection& c, const us_record& r) {
  const std::uint32_t len = r.u.data.len;
  const std::uint32_t off = r.u.data.off;
  const std::uint32_t fin = (r.flags & US_REC_FLAG_FIN) ? 1 : 0;
  if (c.fin_rx || (len == 0 && !fin)) return false;
  const buf_id id{r.u.data.buf_id};
  rx_range* range = nullptr;
  lent_range* lent = nullptr;
  bool next = true;  // everything before it in its queue is committed
  for (std::size_t i = 0; len && i < c.rx.size() && !range; ++i) {
    if (c.rx[i].id == id) {
      range = &c.rx[i];
    } else if (c.rx[i].committed < c.rx[i].len) {
      next = false;
    }
  }
  for (std::size_t i = 0; len && !range && c.direct && i < c.direct->lent.size() && !lent; ++i)
    if (c.direct->lent[i].id == id) {
      lent = &c.direct->lent[i];
      next = i == 0;
    }
  std::uint32_t committed = 0;
  if (len) {
    if (!range && !lent) return false;
    const std::uint32_t room = range ? range->len : lent->len;
    committed = range ? range->committed : lent->committed;
    if (!(range ? range->posted : lent->posted) || len > room || off > room - len || off < committed)
      return false;
    if ((r.flags & US_REC_FLAG_DONE) && off + len != room) return false;
  }
  const seq32 after{r.rcv_nxt};
  if (after != c.h_rcv + (len + fin) || !next || (len && off != committed)) {
    // A sound record behind a hole: what lies in the hole is acknowledged and lost, so the stream cannot go
    // on.
    if (after.after(c.h_rcv + (len + fin))) request_abort(c, EIO);
    return false;
  }
  c.h_rcv = after;
  c.unread += len;
  if (range) {
    came(c, *range, len);
  } else if (lent) {
    came(c, *lent, len, fin != 0);
  }
  if (fin) {
    c.fin_rx = true;
    if (c.direct) return_all_lent(c);
  }
  if (len && !c.owned) {
    discard_unread(c);
    request_abort(c, ECONNABORTED);  // RFC 1122 4.2.2.13: data after close
  }
  tell_readable(c);
  return true;
}

void driver_core::came(connection& c, rx_range& r, std::uint32_t len) {
  r.committed += len;
  if (r.committed == r.len) take_back(r);
  if (!c.direct) return;
  count.fallbacks += c.options.direct_receive;
  ring_queue<arrival>& arrived = c.direct->arrived;
  if (arrived.empty() || arrived.back().direct) arrived.push_back({});
  arrived.back().bytes += len;
}

// Pieces that follow each other in one buffer are told as one, if nobody has asked between them.
void driver_core::came(connection& c, lent_range& r, std::uint32_t len, bool last) {
  ring_queue<arrival>& arrived = c.direct->arrived;
  const bool goes_on = !arrived.empty() && arrived.back().direct && arrived.back().piece.cookie == r.cookie &&
                       arrived.back().piece.data + arrived.back().piece.bytes == r.cpu + r.committed;
  if (!goes_on) arrived.push_back({true, {r.cookie, r.cpu + r.committed, r.committed, 0, false}, 0});
  received_piece& piece = arrived.back().piece;
  piece.bytes += len;
  r.committed += len;
  piece.done = last || r.committed == r.len;
  if (piece.done) return_lent(c);
}

// All is acknowledged; bytes from `una` on an adapter may still be reading, so they are kept to the end.
bool driver_core::on_time_wait(connection& c, seq32 una) {
  if (!c.fin_tx || !c.fin_rx) return false;
  advance_una(c, una);
  c.h_una = c.h_post_end;
  c.time_wait = true;
  tell_end(c);
  return true;
}

bool driver_core::on_ended(device&, const us_record& r, int error) {
  connection* c = table.find(cid{r.cid});
  if (!c) {
    // A CONNECT that failed has no name that the host knows: its initial sequence number tells which it was.
    const auto it = connecting.find(r.snd_una);
    if (!error || it == connecting.end()) return false;
    c = table.find(it->second);
  }
  if (c->aborting) {
    end(*c, c->abort_error);
  } else if (error) {
    end(*c, error);
  } else if (c->fin_tx && c->fin_rx) {
    advance_una(*c, c->h_post_end);
    end(*c, 0);
  } else {
    end(*c, ECONNRESET);
    return false;  // an orderly end of a stream that had none
  }
  return true;
}

// ---------------------------------------------------------------- refusals

raw_port* driver_core::port_of(const device& d, const us_record& r) {
  raw_port* const port = r.u.end.ring < raw.size() ? raw[r.u.end.ring].get() : nullptr;
  return port && port->adapter == d.number() ? port : nullptr;
}

// What a queue reports is consumed as well; of the shared table every record says how much is.
bool driver_core::on_raw(device& d, const us_record& r) {
  raw_port* const port = port_of(d, r);
  if (!port || port->send->open() == 0) return false;
  if (port->queue != driver::shared_table && d.alive && !d.tx[port->queue].consumed_to(r.u.end.index + 1))
    return false;
  return port->send->completed(r);
}

// The queue begins anew, and whoever has something open in it may try again.
bool driver_core::on_tx_stopped(device& d, const us_record& r) {
  raw_port* const port = port_of(d, r);
  if (!port || port->queue == driver::shared_table) return false;
  const idt_ring& ring = d.tx[port->queue];
  if (r.u.end.index - ring.consumed() > ring.told() - ring.consumed()) return false;
  ++count.tx_stops;
  if (!d.alive) return true;  // its frames are told when all of its records are read
  if (begin_queue(d, port->queue)) {
    port->send->give_up();
  } else {
    port->send->abandon();
  }
  return true;
}

bool driver_core::on_refused(device& d, const us_record& r) {
  ++count.refused;
  const idt_ring::note* n = d.idt.find(r.u.end.index, config.mutants.trust_index);
  if (!n) return false;
  const std::uint32_t status = r.u.end.status;
  if (n->opcode == US_OP_POST_POOL) {
    const buf_id id{n->buf_id};
    const rx_buffer* b = buffers.find(id);
    if (!b || b->holder != buffer_holder::adapter_pool || b->adapter != d.number()) return false;
    for (driver_observer* o : observers) o->on_take_back(id);
    --d.pool_posted[b->group];
    buffers.give_back(id);
    return true;
  }
  if (n->opcode == US_OP_SET_GROUP || n->opcode == US_OP_INLINE) return true;  // nothing is lost with it
  if (n->opcode == US_OP_CONNECT) {
    const auto it = std::find_if(connecting.begin(), connecting.end(), [&](const auto& p) {
      return table.find(p.second)->connect_index == r.u.end.index;
    });
    if (it == connecting.end()) return false;
    end(*table.find(it->second), errno_of(status));
    return true;
  }
  connection* c = table.find(cid{n->cid});
  if (!c) return true;  // the connection ended while the descriptor was on its way
  if (n->opcode == US_OP_RESTORE || n->opcode == US_OP_ABORT || status == US_ERR_BAD_CID) {
    end(*c, c->aborting ? c->abort_error : ECONNRESET);
  } else {
    request_abort(*c, EIO);
  }
  return true;
}

}  // namespace understudy::host
