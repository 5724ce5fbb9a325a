#include "model/adapter/announcer.h"

#include <algorithm>

namespace understudy {

namespace {
constexpr std::uint32_t most_gathered = 1024;
}

void announcer::configure(std::uint32_t count, picos age) {
  count_ = std::min(count, most_gathered);
  age_ = age;
  batch_.reserve(count_);
}

void announcer::clear() {
  count_ = 0;
  age_ = 0;
  ++batches_;
  listeners_.clear();
  batch_.clear();
  held_.clear();
}

void announcer::listen(std::uint8_t addr_index, std::uint16_t port, std::uint32_t credits, bool urgent) {
  listeners_[key(addr_index, port)] = {credits, credits != 0, urgent};
}

void announcer::unlisten(std::uint8_t addr_index, std::uint16_t port) {
  if (const auto l = listeners_.find(key(addr_index, port)); l != listeners_.end()) l->second.limited = false;
  accepted(addr_index, port, 0);
  listeners_.erase(key(addr_index, port));
  flush(announce_reason::flush);
}

bool announcer::accepted(std::uint8_t addr_index, std::uint16_t port, std::uint32_t n) {
  const auto at = listeners_.find(key(addr_index, port));
  if (at == listeners_.end()) return false;
  listener& l = at->second;
  l.credits += n;
  for (std::size_t i = 0; i < held_.size() && (l.credits || !l.limited);) {
    const us_record r = held_[i];
    if (key(r.u.conn.addr_index, r.u.conn.local_port) != at->first) {
      ++i;
      continue;
    }
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
    if (l.limited) --l.credits;
    gather(r, l.urgent);
  }
  return true;
}

bool announcer::reserve(std::uint8_t addr_index, std::uint16_t port) {
  const auto l = listeners_.find(key(addr_index, port));
  if (l == listeners_.end() || !l->second.limited) return true;
  if (!l->second.credits) return false;
  --l->second.credits;
  return true;
}

void announcer::give_back(std::uint8_t addr_index, std::uint16_t port) {
  accepted(addr_index, port, 1);
}

void announcer::add(const us_record& r, bool urgent, bool held) {
  const auto& t = r.u.conn;
  if (held && !reserve(t.addr_index, t.local_port)) {
    ++counters.held;
    held_.push_back(r);
    return;
  }
  const auto l =
      t.conn & US_CONN_PASSIVE ? listeners_.find(key(t.addr_index, t.local_port)) : listeners_.end();
  gather(r, urgent || (l != listeners_.end() && l->second.urgent));
}

void announcer::gather(const us_record& r, bool urgent) {
  batch_.push_back(r);
  if (urgent) return flush(announce_reason::urgent);
  if (batch_.size() >= count_) return flush(announce_reason::count);
  if (batch_.size() == 1 && age_)
    work_.in(age_, [this, batch = ++batches_] {
      if (batch == batches_) flush(announce_reason::age);
    });
}

bool announcer::withdraw(cid c) {
  for (std::vector<us_record>* all : {&batch_, &held_}) {
    const auto at = std::ranges::find(*all, c.raw, &us_record::cid);
    if (at == all->end()) continue;
    all->erase(at);
    ++counters.collapsed;
    return true;
  }
  return false;
}

void announcer::release(cid c, announce_reason why) {
  if (const auto at = std::ranges::find(held_, c.raw, &us_record::cid); at != held_.end()) {
    batch_.push_back(*at);
    held_.erase(at);
  }
  flush(why);
}

void announcer::flush(announce_reason why) {
  if (batch_.empty()) return;
  ++batches_;
  counters.connections += batch_.size();
  ++counters.bursts;
  ++counters.by_reason[static_cast<std::size_t>(why)];
  write_(batch_);
  batch_.clear();
}

}  // namespace understudy
