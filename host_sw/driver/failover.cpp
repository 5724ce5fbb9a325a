#include "host_sw/driver/failover.h"

#include <algorithm>
#include <cerrno>

#include "host_sw/driver/driver_core.h"
#include "host_sw/driver/fence.h"
#include "host_sw/driver/restore.h"
#include "host_sw/hal/pci_config.h"

namespace understudy::host {

failover::~failover() {
  d_.hw.timer_stop(run_timer_);
  d_.hw.timer_stop(poll_timer_);
}

bool failover::noted(unsigned a) const {
  for (std::size_t i = 0; i < failures_.size(); ++i)
    if (failures_[i] == a) return true;
  return false;
}

bool failover::fail(unsigned a) {
  if (a >= d_.devices.size() || !d_.devices[a].alive || noted(a)) return false;
  failures_.push_back(a);
  if (!run_pending_) {
    run_pending_ = true;
    run_timer_ = d_.hw.timer_start(
        0, [](void* self) { static_cast<failover*>(self)->run(); }, this);
  }
  return true;
}

void failover::run() {
  run_pending_ = false;
  driver_core::batch b(d_);
  while (!failures_.empty() && condition_ == driver_error::none) {
    const unsigned a = failures_.front();
    failures_.pop_front();
    const bool needed = a == d_.current || (recovering() && a == to_);
    d_.devices[a].alive = false;
    d_.devices[a].stop();
    if (needed) recover(a);
  }
}

unsigned failover::pick() const {
  if (!d_.config.failover) return driver::no_adapter;
  const auto n = static_cast<unsigned>(d_.devices.size());
  for (unsigned i = 1; i < n; ++i) {
    const unsigned a = (from_ + i) % n;
    if (d_.devices[a].alive && !noted(a)) return a;
  }
  return driver::no_adapter;
}

void failover::enter(recovery_state s) {
  state_ = s;
  d_.hw.note_recovery(from_, to_ == driver::no_adapter ? from_ : to_, static_cast<unsigned>(s));
}

void failover::recover(unsigned a) {
  ++d_.count.failovers;
  from_ = a;
  to_ = pick();
  enter(recovery_state::fencing);
  detach();
  undrained_.push_back(a);
  if (!d_.config.mutants.no_fence) {
    d_.hw.port_down_and_hold(a);
    held_.push_back(a);
    if (fence(d_.hw, a) == fence_result::failed) return give_up(driver_error::fence_failed);
  }

  enter(recovery_state::blocked);
  if (to_ != driver::no_adapter) {
    device& b = d_.devices[to_];
    if (!b.reception_is_blocked()) {
      failures_.push_back(to_);
      return;
    }
    if (d_.config.mutants.no_block) {
      d_.post_addresses(b);
      b.ring_idt();
      b.allow_reception();
      release_ports();
    }
  }
  enter(recovery_state::draining);
  drain();
  if (to_ == driver::no_adapter) return give_up(driver_error::no_substitute);
  enter(recovery_state::rebuilding);
  if (!rebuild(d_.devices[to_])) {
    failures_.push_back(to_);
    return;
  }
  enter(recovery_state::loading);
  progress_ns_ = d_.hw.now_ns();
  poll_later();
}

void failover::detach() {
  d_.current = driver::no_adapter;
  d_.table.for_each([](connection& c) { c.on_adapter = false; });
}

void failover::drain() {
  for (const unsigned a : undrained_) {
    device& old = d_.devices[a];
    d_.consume(old, ~0u);
    old.serving = false;
    d_.abandon_raw(a);
    for (const buf_id id : d_.buffers.in_pool_of(a)) {
      for (driver_observer* o : d_.observers) o->on_take_back(id);
      d_.buffers.give_back(id);
    }
    std::fill(std::begin(old.pool_posted), std::end(old.pool_posted), 0u);
  }
  undrained_.clear();
}

// The substitute works on the first descriptors while the last are being made.
bool failover::rebuild(device& b) {
  d_.table.for_each([&](connection& c) {
    if (c.phase == conn_phase::gone) return;
    if (!c.protected_connection() || (c.phase == conn_phase::connecting && c.aborting)) {
      d_.end(c, c.aborting ? c.abort_error : ECONNRESET);
      return;
    }
    for (std::size_t i = 0; i < c.rx.size(); ++i) d_.take_back(c.rx[i]);
    for (std::size_t i = 0; c.direct && i < c.direct->lent.size(); ++i) d_.take_back(c.direct->lent[i]);
    d_.establish_committed(c);
  });
  d_.consume(b, ~0u);
  b.set_epoch(++d_.epoch);
  b.write_clock_and_secret(d_.config, 1);
  b.serving = true;
  d_.current = to_;
  for (listener& l : d_.listeners) l.returned = 0;
  for (const listener& l : d_.listeners)
    if (l.open) d_.post_listener(b, l, US_OP_LISTEN, true);
  bool answers = true;
  std::uint32_t told = b.idt.next();
  d_.table.for_each([&](connection& c) {
    if (!answers || c.phase == conn_phase::gone || c.phase == conn_phase::connecting) return;
    restore(b, c);
    if (b.idt.next() - told < d_.config.load_burst) return;
    told = b.idt.next();
    b.ring_idt();
    if (!b.idt.waiting()) return;
    answers = look_at_head(b);
    if (b.odt.waiting()) d_.service(b);
  });
  if (!answers) return false;
  // A CONNECT takes any free id: only behind every RESTORE, which asks for its own.
  d_.table.for_each([&](connection& c) {
    if (c.phase == conn_phase::connecting) d_.post_connect(c);
  });
  d_.fill_pool(b);
  d_.serve_starved();
  b.ring_idt();
  mark_ = b.idt.next();
  consumed_ = b.idt.consumed();
  return true;
}

void failover::restore(device& b, connection& c) {
  d_.hw.spend(work::restore_connection, 1);
  d_.post(b, restore_descriptor(c, d_.config.mutants));
  ++d_.count.restored;
  c.on_adapter = true;
  d_.post_options(c);
  if (!c.fin_rx) d_.post_all_ranges(c);
  if (c.rx.empty()) d_.grant(c);
  d_.post_send(c, later(c.h_una, c.first_byte()), c.data_end());
  if (c.fin_tx) d_.post(b, close_descriptor(c));
  if (c.aborting) d_.post(b, abort_descriptor(c));
}

// Records report consumption only now and then; a register always does.
bool failover::look_at_head(device& b) {
  const std::uint32_t head = b.read(US_REG_IDT_HEAD);
  if (head == all_ones) return false;
  b.idt.consumed_to(head);
  return true;
}

void failover::poll_later() {
  d_.hw.timer_stop(poll_timer_);
  const std::uint32_t us = d_.config.mutants.slow_recovery ? 200'000 : d_.config.recovery_poll_us;
  poll_timer_ = d_.hw.timer_start(
      us * 1000ULL, [](void* self) { static_cast<failover*>(self)->poll(); }, this);
}

void failover::poll() {
  if ((state_ != recovery_state::loading && state_ != recovery_state::identity) ||
      condition_ != driver_error::none)
    return;
  driver_core::batch batch(d_);
  device& b = d_.devices[to_];
  if (b.odt.waiting()) d_.service(b);
  if (!look_at_head(b)) {
    fail(to_);
    return;
  }
  const std::uint64_t now = d_.hw.now_ns();
  if (b.idt.consumed() != consumed_) {
    consumed_ = b.idt.consumed();
    progress_ns_ = now;
  } else if (now - progress_ns_ > d_.config.load_timeout_us * 1000ULL) {
    fail(to_);
    return;
  }
  if (static_cast<std::int32_t>(consumed_ - mark_) >= 0) {
    if (state_ == recovery_state::loading) {
      enter(recovery_state::identity);
      d_.post_addresses(b);
      mark_ = b.idt.next();
      progress_ns_ = now;
    } else {
      enter(recovery_state::running);
      b.allow_reception();
      // The answer shows that the write has taken effect: held frames must not meet a blocked adapter.
      if (!b.reception_is_allowed()) {
        fail(to_);
        return;
      }
      release_ports();
      return;
    }
  }
  poll_later();
}

void failover::release_ports() {
  for (const unsigned a : held_) d_.hw.port_release(a, to_);
  held_.clear();
}

void failover::give_up(driver_error why) {
  condition_ = why;
  for (const unsigned a : undrained_) d_.abandon_raw(a);
  d_.table.for_each([&](connection& c) {
    if (c.phase != conn_phase::gone) d_.end(c, ENETDOWN);
  });
}

}  // namespace understudy::host
