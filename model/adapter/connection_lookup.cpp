#include "model/adapter/connection_lookup.h"

#include <algorithm>

namespace understudy {

namespace {
std::unique_ptr<connection_table_unit> make_store(const lookup_config& c) {
  return c.rtl ? make_connection_table_rtl(c.sets, c.ways) : make_connection_table_twin(c.sets, c.ways);
}
}  // namespace

connection_lookup::connection_lookup(const lookup_config& config)
    : config_(config), store_(make_store(config)) {}

store_answer connection_lookup::run(picos now, const store_request& r) {
  const store_answer a = store_->run(r);
  port_free_ = std::max(now, port_free_) + a.cycles * config_.clock_period;
  counters_.corrected += a.corrected;
  counters_.dropped += a.dropped;
  counters_.evictions += a.evicted;
  return a;
}

// Sets are scrubbed in turn, evenly over the time that a turn takes, in cycles that nobody else wants. What
// was due since the last call is done now: nobody has looked meanwhile.
void connection_lookup::scrub_until(picos now) {
  if (config_.scrub == 0) return;
  const picos each = std::max<picos>(config_.scrub / config_.sets, 1);
  const std::uint64_t due = now / each;
  if (due > scrubbed_ + config_.sets) scrubbed_ = due - config_.sets;  // a whole turn is enough
  for (; scrubbed_ < due; ++scrubbed_) {
    const store_answer a =
        store_->run({.op = store_op::scrub, .key = scrubbed_ & (config_.sets - 1), .flip = {}});
    ++counters_.scrubs;
    counters_.corrected += a.corrected;
    counters_.dropped += a.dropped;
  }
}

picos connection_lookup::look_up(picos now, std::uint64_t key, std::uint32_t index) {
  scrub_until(now);
  const picos start = std::max(now, port_free_);
  const store_answer a = run(now, {.op = store_op::lookup, .key = key, .flip = {}});
  ++counters_.lookups;
  picos ready = start;
  if (a.hit && a.index == index) {
    ++counters_.hits;
  } else {
    counters_.mistaken += a.hit;
    counters_.strangers += index == unknown;
    memory_free_ = std::max(start, memory_free_);
    ready = memory_free_ + config_.miss;
    memory_free_ += config_.access;
    if (index != unknown) run(now, {.op = store_op::insert, .key = key, .index = index, .flip = {}});
  }
  counters_.waited += ready - now;
  return ready;
}

void connection_lookup::forget(picos now, std::uint64_t key) {
  run(now, {.op = store_op::remove, .key = key, .flip = {}});
}

void connection_lookup::upset(std::uint64_t key, unsigned bits) {
  for (std::uint32_t way = 0; way < config_.ways; ++way)
    store_->run({.op = store_op::flip,
                 .key = key,
                 .way = way,
                 .flip = {bits > 1 ? std::uint64_t{3} << 30 : std::uint64_t{1} << 30, 0}});
}

void connection_lookup::reset() {
  store_ = make_store(config_);
}

}  // namespace understudy
