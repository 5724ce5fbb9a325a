#include "host_sw/driver/driver_core.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "host_sw/driver/restore.h"
#include "host_sw/hal/pci_config.h"

namespace understudy::host {
namespace {

start_result check(const driver_config& c, unsigned adapters) {
  const auto ring_ok = [](std::uint32_t n) { return n >= 16 && n <= 65536 && std::has_single_bit(n); };
  const auto bad = [](const char* text) { return start_result{driver_error::bad_config, text}; };
  if (!ring_ok(c.idt_entries) || !ring_ok(c.odt_entries))
    return bad("table sizes: a power of two, 16 to 65536");
  if (c.buffer_bytes == 0 || c.buffer_bytes % 1024 || c.buffer_bytes > 1u << 20)
    return bad("buffer_bytes: a multiple of 1024, at most 1 MiB");
  if (c.receive_buffer == 0 || c.receive_buffer > 1u << 30 || c.send_buffer == 0 || c.send_buffer > 1u << 30)
    return bad("receive_buffer and send_buffer: 1 to 2^30");
  if (c.addresses.empty() || c.addresses.size() > US_ADDRESSES) return bad("addresses: 1 to 16");
  if (c.active >= adapters) return bad("active: no such adapter");
  if (c.announce_count == 0 || c.announce_count > 1024) return bad("announce_count: 1 to 1024");
  if (c.recovery_poll_us == 0) return bad("recovery_poll_us: at least 1");
  return {};
}

constexpr std::uint16_t first_epoch = 1;

}  // namespace

driver_core::driver_core(hal& h, driver_config c)
    : hw(h), config(std::move(c)), retention(h), epoch(first_epoch), recovery(*this) {
  buffers.create(h, config.buffer_bytes);
  for (unsigned a = 0; a < h.adapters(); ++a) {
    devices.emplace_back(h, count, a);
    contexts_.push_back({this, a});
  }
}

driver_core::~driver_core() {
  hw.timer_stop(doorbell_timer_);
  hw.timer_stop(health_timer_);
  for (const device& d : devices) {
    hw.timer_stop(d.service_timer);
    for (unsigned v = 0; v < US_MSIX_VECTORS; ++v) hw.irq_attach(d.number(), v, nullptr, nullptr);
  }
}

start_result driver_core::start() {
  if (start_result r = check(config, hw.adapters()); r.error != driver_error::none) return r;
  const hal::handler handlers[US_MSIX_VECTORS] = {[](void* p) {
                                                    auto* c = static_cast<irq_context*>(p);
                                                    ++c->core->count.interrupts;
                                                    c->core->service(c->core->devices[c->adapter]);
                                                  },
                                                  [](void* p) {
                                                    auto* c = static_cast<irq_context*>(p);
                                                    ++c->core->count.interrupts;
                                                    c->core->health_interrupt(c->core->devices[c->adapter]);
                                                  }};
  for (device& d : devices) {
    void* const contexts[US_MSIX_VECTORS] = {&contexts_[d.number()], &contexts_[d.number()]};
    if (start_result r = d.bring_up(config, epoch, handlers, contexts); r.error != driver_error::none)
      return r;
  }
  batch b(*this);
  for (device& d : devices) {
    post_addresses(d);
    fill_pool(d);
    if (d.pool_posted < config.pool_buffers)
      return {driver_error::no_memory, "no DMA memory for receive buffers"};
    d.ring_idt();
  }
  current = config.active;
  devices[current].serving = true;
  devices[current].allow_reception();
  if (config.heartbeat_us) health_later();
  return {};
}

// ---------------------------------------------------------------- batches

void driver_core::leave_batch() {
  if (depth_ == 1) {
    while (std::exchange(told_, false))
      if (user) user->on_batch_end();
    for (device& d : devices)
      if (d.alive) d.ring_idt();
  }
  --depth_;
}

void driver_core::announce() {
  if (depth_ || doorbell_pending_) return;
  doorbell_pending_ = true;
  doorbell_timer_ = hw.timer_start(
      0,
      [](void* p) {
        auto* core = static_cast<driver_core*>(p);
        core->doorbell_pending_ = false;
        batch b(*core);
      },
      this);
}

void driver_core::tell_readable(connection& c) {
  if (!user || !c.owned || c.ended) return;
  told_ = true;
  user->on_readable(c.handle);
}

void driver_core::tell_end(connection& c) {
  if (c.ended) return;
  c.ended = true;
  if (!user || !c.owned) return;
  told_ = true;
  user->on_end(c.handle, c.error);
}

// ---------------------------------------------------------------- health

void driver_core::health_later() {
  health_timer_ = hw.timer_start(
      config.heartbeat_us * 1000ULL, [](void* p) { static_cast<driver_core*>(p)->health_tick(); }, this);
}

void driver_core::health_tick() {
  batch b(*this);
  for (device& d : devices) {
    if (!d.alive) continue;
    if (!d.beats(config.heartbeat_misses)) {
      recovery.fail(d.number());
    } else if (d.wakeup_lost()) {
      ++count.lost_wakeups;
      service(d);
    }
    // Records report consumption; where none come, descriptors that wait for a slot must not wait for ever.
    if (d.alive && d.idt.waiting()) {
      const std::uint32_t head = d.read(US_REG_IDT_HEAD);
      if (head == all_ones) {
        recovery.fail(d.number());
      } else {
        d.idt.consumed_to(head);
      }
    }
  }
  if (recovery.condition() == driver_error::none) health_later();
}

void driver_core::health_interrupt(device& d) {
  if (!d.alive) return;
  const std::uint32_t status = d.read(US_REG_STATUS);
  if (status == all_ones || (status & US_STATUS_FATAL)) recovery.fail(d.number());
}

// ---------------------------------------------------------------- descriptors

std::uint32_t driver_core::post(device& d, const us_idt_entry& e) {
  const std::uint32_t index = d.idt.push(e);
  ++count.descriptors;
  if (d.idt.waiting()) ++count.backlogged;
  for (driver_observer* o : observers) o->on_descriptor(d.number(), e, index);
  announce();
  return index;
}

raw_send* driver_core::open_raw(const tx_pool_config& c, raw_send::done_function done, void* context) {
  if (current == driver::no_adapter || !devices[current].can_send_raw()) return nullptr;
  auto port = std::make_unique<raw_port>();
  port->adapter = current;
  port->done = done;
  port->context = context;
  port->core = this;
  if (!port->pool.create(hw, current, c)) return nullptr;
  port->send.emplace(
      hw, current, port->pool,
      [](void* p, const us_idt_entry& e) {
        auto* self = static_cast<raw_port*>(p);
        return self->core->post(self->core->devices[self->adapter], e);
      },
      [](void* p, std::uint64_t cookie, bool sent) {
        auto* self = static_cast<raw_port*>(p);
        self->done(self->context, cookie, sent);
      },
      port.get());
  raw = std::move(port);
  return &*raw->send;
}

void driver_core::post_addresses(device& d) {
  for (std::size_t i = 0; i < config.addresses.size(); ++i) {
    const local_address& a = config.addresses[i];
    us_idt_entry e = descriptor(US_OP_SET_ADDRESS, US_NO_CID);
    auto& s = e.u.set_address;
    std::memcpy(s.mac, a.mac, sizeof s.mac);
    std::memcpy(s.ip, a.ip, sizeof s.ip);
    std::memcpy(s.gateway, a.gateway, sizeof s.gateway);
    s.addr_index = static_cast<std::uint8_t>(i);
    s.prefix_len = a.prefix_len;
    s.mtu = a.mtu;
    post(d, e);
  }
}

void driver_core::post_listener(device& d, const listener& l, us_opcode op, bool takeover) {
  for (const std::uint8_t address : l.addresses) {
    us_idt_entry e = descriptor(op, US_NO_CID);
    if (l.options.failover) e.flags = US_CONN_PROTECTED;
    e.u.listen.port = l.port;
    e.u.listen.addr_index = address;
    e.u.listen.backlog = l.backlog;
    if (d.can_announce()) {
      if (l.options.urgent) e.flags |= US_LISTEN_URGENT;
      if (l.options.speaks_first) e.flags |= US_LISTEN_SPEAKS_FIRST;
      if (takeover) e.flags |= US_LISTEN_TAKEOVER;
      e.u.listen.commit = static_cast<std::uint8_t>(*l.options.commit);
      e.u.listen.cookies_above = config.cookies_above;
      e.u.listen.credits = op == US_OP_ACCEPTED       ? l.returned
                           : l.queued + 1 < l.backlog ? l.backlog - l.queued
                                                      : 1;
    }
    post(d, e);
  }
}

// Credits go back a quarter of the backlog at a time: what is left suffices meanwhile.
void driver_core::accepted(int number) {
  if (number < 0 || static_cast<std::size_t>(number) >= listeners.size()) return;
  listener& l = listeners[static_cast<std::size_t>(number)];
  if (!l.open || !l.queued) return;
  --l.queued;
  if (++l.returned < std::max(1u, l.backlog / 4) || current == driver::no_adapter) return;
  if (devices[current].can_announce()) post_listener(devices[current], l, US_OP_ACCEPTED);
  l.returned = 0;
}

void driver_core::fill_pool(device& d) {
  while (d.pool_posted < config.pool_buffers) {
    const buf_id id = buffers.take(buffer_holder::adapter_pool, d.number());
    if (!id.valid()) return;
    const rx_buffer& b = *buffers.find(id);
    us_idt_entry e = descriptor(US_OP_POST_POOL, US_NO_CID);
    e.u.rx.iova_lo = static_cast<std::uint32_t>(b.iova);
    e.u.rx.iova_hi = static_cast<std::uint32_t>(b.iova >> 32);
    e.u.rx.len = buffers.bytes_each();
    e.u.rx.buf_id = id.raw;
    for (driver_observer* o : observers)
      o->on_post_buffer(d.number(), id, iova{b.iova}, buffers.bytes_each());
    ++d.pool_posted;
    post(d, e);
  }
}

void driver_core::post_range(connection& c, rx_range& r) {
  const std::uint64_t at = buffers.find(r.id)->iova;
  r.posted = true;
  for (driver_observer* o : observers)
    o->on_post_buffer(current, r.id, iova{at + r.committed}, r.len - r.committed);
  post(devices[current], post_rx_descriptor(c, r, at));
}

void driver_core::take_back(rx_range& r) {
  if (!std::exchange(r.posted, false)) return;
  for (driver_observer* o : observers) o->on_take_back(r.id);
}

void driver_core::post_send(connection& c, seq32 from, seq32 to) {
  while (from.before(to)) {
    const send_range r = c.retained.piece(from, to);
    for (driver_observer* o : observers) o->on_send_posted(c.id, r.end, iova{r.iova}, r.len);
    post(devices[current], send_descriptor(c, r));
    from = r.end;
  }
}

void driver_core::post_connect(connection& c) {
  c.connect_index = post(devices[current], connect_descriptor(c));
}

void driver_core::grant(connection& c) {
  if (!c.on_adapter || c.phase != conn_phase::open || c.fin_rx || c.aborting || !c.owned) return;
  constexpr std::uint32_t smallest = 1024;
  const std::uint32_t limit = c.options.receive_buffer;
  const std::uint32_t piece = std::min(buffers.bytes_each(), std::max(smallest, limit / 2));
  const seq32 read = c.h_rcv - c.unread;
  while (c.edge.minus(read) + piece <= std::max(limit, piece)) {
    const buf_id id = buffers.take(buffer_holder::connection, current);
    if (!id.valid()) return;
    c.edge += piece;
    c.rx.push_back({id, piece, 0, 0, c.edge, false});
    post_range(c, c.rx.back());
  }
}

// ---------------------------------------------------------------- connections

void driver_core::post_options(connection& c) {
  if (!c.options.tuned || !c.on_adapter || !devices[current].can_set_options()) return;
  post(devices[current], options_descriptor(c));
}

void driver_core::request_abort(connection& c, int error) {
  if (c.aborting || c.phase == conn_phase::gone) return;
  c.aborting = true;
  c.abort_error = error;
  if (c.on_adapter) post(devices[current], abort_descriptor(c));
}

void driver_core::finish(connection& c) {
  if (c.fin_tx || c.aborting || c.phase == conn_phase::gone) return;
  if (c.phase == conn_phase::connecting || (c.phase == conn_phase::embryo && c.opened_here)) {
    request_abort(c, ECONNABORTED);
    return;
  }
  c.fin_tx = true;
  c.fin_tx_first = !c.fin_rx;
  c.h_post_end += 1;
  if (c.on_adapter) post(devices[current], close_descriptor(c));
}

std::size_t driver_core::room(const connection& c) const {
  if (c.phase != conn_phase::open || c.fin_tx || c.aborting) return 0;
  const std::uint32_t kept = c.h_post_end.minus(c.freed);
  return kept < c.options.send_buffer ? c.options.send_buffer - kept : 0;
}

void driver_core::free_sent(connection& c, seq32 below) {
  if (below.before_eq(c.freed)) return;
  c.freed = below;
  for (driver_observer* o : observers) o->on_send_freed(c.id, below);
}

void driver_core::advance_una(connection& c, seq32 una) {
  if (una.before_eq(c.h_una)) return;
  c.h_una = una;
  if (c.phase != conn_phase::open) return;
  free_sent(c, earlier(una, c.data_end()));
  // A writer is woken when a quarter of its buffer is free, so that it does not trickle.
  if (!c.wants_room || room(c) < c.options.send_buffer / 4) return;
  c.wants_room = false;
  if (!user || !c.owned || c.ended) return;
  told_ = true;
  user->on_writable(c.handle);
}

void driver_core::discard_unread(connection& c) {
  c.unread = 0;
  while (!c.rx.empty()) {
    rx_range& r = c.rx.front();
    r.consumed = r.committed;
    if (r.consumed < r.len) return;
    buffers.give_back(r.id);
    c.rx.pop_front();
  }
}

void driver_core::end(connection& c, int error) {
  if (c.phase == conn_phase::gone) return;
  const cid id = c.id;
  if (c.phase == conn_phase::connecting) connecting.erase(c.iss.raw);
  const bool handed_over = c.phase == conn_phase::open || c.opened_here;
  c.phase = conn_phase::gone;
  c.on_adapter = false;
  table.unbind(c);
  while (!c.rx.empty()) {
    rx_range& r = c.rx.back();
    take_back(r);
    if (r.committed > r.consumed) {
      r.len = r.committed;
      break;
    }
    buffers.give_back(r.id);
    c.rx.pop_back();
  }
  if (c.retained.created()) retention.give_back(c.retained.take_memory());
  if (id.valid())
    for (driver_observer* o : observers) o->on_connection_end(id, error);
  if (handed_over) {
    if (!c.ended) c.error = error;
    tell_end(c);
  }
  if (!c.owned) {
    discard_unread(c);
    table.erase(c);
  }
}

const listener* driver_core::find_listener(std::uint8_t addr_index, std::uint16_t port, int* number) const {
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const listener& l = listeners[i];
    if (!l.open || l.port != port) continue;
    if (std::find(l.addresses.begin(), l.addresses.end(), addr_index) == l.addresses.end()) continue;
    *number = static_cast<int>(i);
    return &l;
  }
  return nullptr;
}

connection_facts facts_of(const connection& c, const driver_config& config) {
  connection_facts f;
  f.id = c.id;
  std::memcpy(f.local.ip, config.addresses[c.key.addr_index].ip, sizeof f.local.ip);
  f.local.port = c.key.local_port;
  std::memcpy(f.peer.ip, c.key.peer_ip.data(), sizeof f.peer.ip);
  f.peer.port = c.key.peer_port;
  f.iss = c.iss;
  f.rcv_nxt = c.irs_next;
  f.conn = c.conn_bits;
  f.wscale = c.wscale;
  f.mss = c.mss;
  return f;
}

}  // namespace understudy::host
