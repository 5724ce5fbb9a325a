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
  if (!ring_ok(c.tx_entries)) return bad("tx_entries: a power of two, 16 to 65536");
  if (c.buffer_bytes == 0 || c.buffer_bytes % 1024 || c.buffer_bytes > 1u << 20)
    return bad("buffer_bytes: a multiple of 1024, at most 1 MiB");
  if (c.receive_buffer == 0 || c.receive_buffer > 1u << 30 || c.send_buffer == 0 || c.send_buffer > 1u << 30)
    return bad("receive_buffer and send_buffer: 1 to 2^30");
  if (c.addresses.empty() || c.addresses.size() > US_ADDRESSES) return bad("addresses: 1 to 16");
  for (const local_address& a : c.addresses)
    if (a.vlan > US_VLAN_MOST) return bad("addresses: vlan: 0 to 4094");
  if (c.inline_bytes > US_INLINE_MOST) return bad("inline_bytes: 0 to 192");
  if (c.active >= adapters) return bad("active: no such adapter");
  if (c.announce_count == 0 || c.announce_count > 1024) return bad("announce_count: 1 to 1024");
  if (c.recovery_poll_us == 0) return bad("recovery_poll_us: at least 1");
  if (c.groups.size() >= US_GROUPS) return bad("groups: at most 15 beside the default one");
  for (const group_config& g : c.groups) {
    if (g.bytes == 0 || g.bytes % 1024 || g.bytes > 1u << 20)
      return bad("group: bytes: a multiple of 1024, at most 1 MiB");
    if (g.bytes + 120u < c.addresses[0].mtu) return bad("group: bytes: a buffer holds less than a segment");
    if (g.buffers == 0 || g.buffers > 1u << 16) return bad("group: buffers: 1 to 65536");
    const bool adapts = g.window != 0;
    if (adapts && (g.least == 0 || g.least > g.buffers || g.most < g.buffers || g.most > 1u << 16 ||
                   g.low_percent >= g.high_percent || g.high_percent > 100))
      return bad("group: least <= buffers <= most, low_percent < high_percent <= 100");
    if (g.low > g.high || g.high > g.buffers) return bad("group: low is at most high, high at most buffers");
  }
  return {};
}

constexpr std::uint16_t first_epoch = 1;

}  // namespace

driver_core::driver_core(hal& h, driver_config c)
    : hw(h),
      config(std::move(c)),
      memory(h),
      retention(h),
      table(config.secret),
      epoch(first_epoch),
      recovery(*this) {
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
  if (!make_groups()) return {driver_error::no_memory, "no DMA memory for receive buffers"};
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
  current = config.active;
  for (device& d : devices) {
    post_addresses(d);
    post_groups(d);
    fill_pool(d);
    if (d.pool_posted[0] < config.pool_buffers) {
      current = driver::no_adapter;
      return {driver_error::no_memory, "no DMA memory for receive buffers"};
    }
    d.ring_idt();
  }
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
      if (d.alive) {
        d.ring_idt();
        d.ring_tx();
      }
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
    } else {
      d.ring_lost();
      if (d.wakeup_lost()) {
        ++count.lost_wakeups;
        service(d);
      }
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

std::uint32_t driver_core::post_to_queue(device& d, unsigned queue, const us_idt_entry& e) {
  const std::uint32_t index = d.tx[queue].push(e);
  ++count.descriptors;
  if (d.tx[queue].waiting()) ++count.backlogged;
  for (driver_observer* o : observers) o->on_tx_descriptor(d.number(), queue, e, index);
  announce();
  return index;
}

bool driver_core::begin_queue(device& d, unsigned queue) {
  if (!d.begin_queue(queue, config.tx_entries)) return false;
  for (driver_observer* o : observers) o->on_tx_queue(d.number(), queue);
  return true;
}

raw_send* driver_core::open_raw(const tx_pool_config& c, raw_send::done_function done, void* context,
                                unsigned queue) {
  if (current == driver::no_adapter || !devices[current].can_send_raw()) return nullptr;
  const bool own = queue != driver::shared_table;
  if (own && (queue >= devices[current].tx_queues() || !begin_queue(devices[current], queue))) return nullptr;
  auto port = std::make_unique<raw_port>();
  port->adapter = current;
  port->queue = queue;
  port->done = done;
  port->context = context;
  port->core = this;
  if (!port->pool.create(hw, current, c)) return nullptr;
  port->send.emplace(
      hw, current, port->pool,
      [](void* p, const us_idt_entry& e) {
        auto* self = static_cast<raw_port*>(p);
        device& d = self->core->devices[self->adapter];
        return self->queue == driver::shared_table ? self->core->post(d, e)
                                                   : self->core->post_to_queue(d, self->queue, e);
      },
      [](void* p, std::uint64_t cookie, bool sent) {
        auto* self = static_cast<raw_port*>(p);
        self->done(self->context, cookie, sent);
      },
      port.get());
  raw_port& opened = *(raw[raw_port::place(queue)] = std::move(port));
  return &*opened.send;
}

void driver_core::abandon_raw(unsigned a) {
  for (const auto& port : raw)
    if (port && port->adapter == a) port->send->abandon();
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
    s.vlan = a.vlan;
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
    e.u.listen.memory = memory_terms(l.options);
    if (d.can_announce()) {
      if (l.options.urgent) e.flags |= US_LISTEN_URGENT;
      if (l.options.speaks_first) e.flags |= US_LISTEN_SPEAKS_FIRST;
      if (takeover && l.options.failover) e.flags |= US_LISTEN_TAKEOVER;
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

// The default group grows as it is used; the others are there from the start.
bool driver_core::make_groups() {
  groups.clear();
  groups.resize(1 + config.groups.size());
  groups[0].pooled = config.pool_buffers;
  if (!buffers.add_group(hw, config.buffer_bytes, 0)) return false;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const group_config& from = config.groups[i];
    rx_group& g = groups[i + 1];
    g.limit = from.limit;
    g.low = from.low;
    g.high = from.high;
    g.borrow = from.borrow;
    g.pooled = std::max(1u, std::min(config.pool_buffers, from.buffers / 4));
    g.adaptive =
        rx_limit({from.window, from.buffers, from.least, from.most, from.low_percent, from.high_percent});
    g.bound = g.adaptive.target();
    if (!buffers.add_group(hw, from.bytes, from.window ? from.most : from.buffers)) return false;
  }
  return true;
}

void driver_core::post_groups(device& d) {
  if (!d.has_memory_features()) return;
  for (std::size_t i = 0; i < config.groups.size(); ++i)
    post(d, group_descriptor(config.groups[i], static_cast<std::uint8_t>(i + 1)));
}

// Standby adapters hold buffers of the default group alone.
void driver_core::fill_pool(device& d) {
  for (unsigned g = 0; g < groups.size(); ++g) {
    if (g != 0 && (d.number() != current || !d.has_memory_features())) break;
    while (d.pool_posted[g] < groups[g].pooled && may_take(g)) {
      const buf_id id = buffers.take(g, buffer_holder::adapter_pool, d.number());
      if (!id.valid()) break;
      const rx_buffer& b = *buffers.find(id);
      us_idt_entry e = descriptor(US_OP_POST_POOL, US_NO_CID);
      e.u.rx.iova_lo = static_cast<std::uint32_t>(b.iova);
      e.u.rx.iova_hi = static_cast<std::uint32_t>(b.iova >> 32);
      e.u.rx.len = b.bytes;
      e.u.rx.buf_id = id.raw;
      e.u.rx.group = static_cast<std::uint8_t>(g);
      for (driver_observer* o : observers) o->on_post_buffer(d.number(), id, iova{b.iova}, b.bytes);
      ++d.pool_posted[g];
      note_use(g);
      post(d, e);
    }
  }
}

void driver_core::note_use(unsigned group) {
  rx_group& g = groups[group];
  g.most_in_use = std::max<std::size_t>(g.most_in_use, in_use(group));
}

std::uint32_t driver_core::in_use(unsigned group) const {
  return static_cast<std::uint32_t>(buffers.total(group) - buffers.free(group));
}

bool driver_core::may_take(unsigned group) const {
  return !groups[group].adaptive.adapts() || in_use(group) < groups[group].bound;
}

void driver_core::post_range(connection& c, rx_range& r, seq32 edge) {
  const std::uint64_t at = buffers.find(r.id)->iova;
  r.posted = true;
  for (driver_observer* o : observers)
    o->on_post_buffer(current, r.id, iova{at + r.committed}, r.len - r.committed);
  post(devices[current], post_rx_descriptor(c, r.id, at, r.committed, r.len, edge));
}

void driver_core::post_all_ranges(connection& c) {
  seq32 edge = c.h_rcv;
  for (std::size_t i = 0; c.direct && i < c.direct->lent.size(); ++i) {
    lent_range& r = c.direct->lent[i];
    edge += r.len - r.committed;
    post_lent(c, r, edge);
  }
  for (std::size_t i = 0; i < c.rx.size(); ++i) {
    rx_range& r = c.rx[i];
    if (r.committed == r.len) continue;
    edge += r.len - r.committed;
    post_range(c, r, edge);
  }
}

void driver_core::take_back(rx_range& r) {
  if (!std::exchange(r.posted, false)) return;
  for (driver_observer* o : observers) o->on_take_back(r.id);
}

void driver_core::post_send(connection& c, seq32 from, seq32 to) {
  while (from.before(to)) {
    const send_range r = send_piece(c, from, to);
    for (driver_observer* o : observers) o->on_send_posted(c.id, r.end, iova{r.iova}, r.len);
    device& d = devices[current];
    if (r.cpu && r.len <= config.inline_bytes && d.can_inline()) {
      post_inline(d, c, r);
    } else {
      post(d, send_descriptor(c, r));
    }
    from = r.end;
  }
}

// The bytes go with their descriptor, so that sending them takes no read of their own.
void driver_core::post_inline(device& d, const connection& c, const send_range& r) {
  us_idt_entry e = send_descriptor(c, r);
  e.flags = US_SEND_INLINE;
  std::uint32_t at = std::min<std::uint32_t>(r.len, sizeof e.u.send.data);
  std::memcpy(e.u.send.data, r.cpu, at);
  post(d, e);
  while (at < r.len) {
    e = descriptor(US_OP_INLINE, c.id.raw);
    const auto n = std::min<std::uint32_t>(r.len - at, sizeof e.u.inline_data);
    std::memcpy(e.u.inline_data, r.cpu + at, n);
    post(d, e);
    at += n;
  }
  ++count.inline_sends;
}

void driver_core::post_connect(connection& c) {
  c.connect_index = post(devices[current], connect_descriptor(c));
}

void driver_core::grant(connection& c) {
  if (!c.on_adapter || c.phase != conn_phase::open || c.fin_rx || c.aborting || !c.owned) return;
  constexpr std::uint32_t smallest = 1024;
  const rx_group& g = groups[c.group];
  std::uint32_t limit = c.options.receive_buffer;
  if (g.limit) limit = std::min(limit, g.limit);
  std::uint32_t piece = std::min(buffers.bytes_each(c.group), std::max(smallest, limit / 2));
  // One buffer besides those that the application lends, for data that comes when it is late.
  if (c.options.direct_receive) limit = piece;
  for (std::uint32_t held = pool_bytes(c); held + piece <= std::max(limit, piece); held += piece) {
    if (g.scarce && c.edge != c.h_rcv) return;
    const buf_id id = take_buffer(c);
    if (!id.valid()) return;
    piece = std::min(piece, buffers.find(id)->bytes);
    c.edge += piece;
    c.rx.push_back({id, piece, 0, 0, false});
    post_range(c, c.rx.back(), c.edge);
  }
}

std::uint32_t driver_core::pool_bytes(const connection& c) const {
  if (!c.direct) return c.edge.minus(c.h_rcv - c.unread);
  std::uint32_t n = 0;
  for (std::size_t i = 0; i < c.rx.size(); ++i) n += c.rx[i].len - c.rx[i].consumed;
  return n;
}

// From its group, or from the default one if it may borrow. Invalid: it is in the queue of those that wait.
buf_id driver_core::take_buffer(connection& c) {
  rx_group& g = groups[c.group];
  buf_id id;
  if (may_take(c.group)) id = buffers.take(c.group, buffer_holder::connection, current);
  if (id.valid()) {
    note_use(c.group);
    if (g.low && buffers.free(c.group) < g.low) g.scarce = true;
    return id;
  }
  if (g.borrow && c.group != 0) {
    id = buffers.take(0, buffer_holder::connection, current);
    g.borrowed += id.valid();
    if (id.valid()) return id;
  }
  ++g.exhausted;
  ++count.starved;
  if (!std::exchange(c.starved, true)) g.starved.push_back(c.handle);
  return {};
}

void driver_core::give_back(buf_id id, std::uint32_t used) {
  const rx_buffer* b = buffers.find(id);
  if (!b || b->holder == buffer_holder::application) return;
  const unsigned number = b->group;
  const bool filled = used >= b->bytes / 2;
  buffers.give_back(id, config.mutants.lose_group_buffer);
  rx_group& g = groups[number];
  g.adaptive.returned(filled);
  g.bound = std::max(g.adaptive.target(), in_use(number));
  if (g.scarce && buffers.free(number) >= g.high) g.scarce = false;
  if (current == driver::no_adapter) return;
  if (devices[current].pool_posted[number] < g.pooled) fill_pool(devices[current]);
  serve_starved(number);
}

// Each gets a turn: who finds none again is queued behind those that follow.
void driver_core::serve_starved(unsigned number) {
  rx_group& g = groups[number];
  for (std::size_t turns = g.starved.size(); turns && buffers.free(number) && may_take(number); --turns) {
    connection* c = table.find(g.starved.front());
    g.starved.pop_front();
    if (c && std::exchange(c->starved, false)) grant(*c);
  }
}

void driver_core::serve_starved() {
  for (unsigned g = 0; g < groups.size(); ++g) serve_starved(g);
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
  return_sent(c, below);
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
  if (c.direct) c.direct->arrived.clear();
  while (!c.rx.empty()) {
    rx_range& r = c.rx.front();
    r.consumed = r.committed;
    if (r.consumed < r.len) return;
    const rx_range done = r;
    c.rx.pop_front();
    give_back(done.id, done.committed);
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
    const rx_range unread = r;
    c.rx.pop_back();
    give_back(unread.id, unread.committed);
  }
  return_direct(c);
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
