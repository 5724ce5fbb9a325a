#include "model/core/buffer_allocator.h"

#include <utility>

namespace understudy {

namespace {
constexpr std::uint32_t index_mask = (1u << 20) - 1;
constexpr std::uint32_t longest = 1u << 20;
}  // namespace

buffer_allocator::buffer_allocator(std::uint32_t entries, unsigned id_bits)
    : entries_(entries), present_(((std::size_t{1} << id_bits) + 63) / 64), id_bits_(id_bits) {}

void buffer_allocator::reset() {
  words_.clear();
  free_word_ = none;
  groups_ = {};
  present_.assign(present_.size(), 0);
}

alloc_answer buffer_allocator::configure(unsigned group, std::uint16_t quota, std::uint8_t lender) {
  if (group >= US_GROUPS || (lender != US_NO_GROUP && (lender >= US_GROUPS || lender == group)))
    return {alloc_status::bad_group, quick_cycles};
  groups_[group].quota = quota;
  groups_[group].lender = lender;
  return {alloc_status::ok, quick_cycles};
}

bool buffer_allocator::present(buf_id id) const {
  const std::uint32_t i = id.raw & index_mask;
  return present_[i / 64] >> (i % 64) & 1;
}

void buffer_allocator::set_present(buf_id id, bool v) {
  const std::uint32_t i = id.raw & index_mask;
  const std::uint64_t bit = std::uint64_t{1} << (i % 64);
  present_[i / 64] = v ? present_[i / 64] | bit : present_[i / 64] & ~bit;
}

alloc_status buffer_allocator::check(unsigned group, const pool_buffer& b) const {
  if (group >= US_GROUPS) return alloc_status::bad_group;
  if (b.length == 0 || b.length > longest) return alloc_status::bad_length;
  if ((b.id.raw & index_mask) >> id_bits_) return alloc_status::bad_id;
  if (present(b.id)) return alloc_status::double_free;
  if (free_word_ == none && words_.size() == entries_) return alloc_status::full;
  return alloc_status::ok;
}

// Words that were never used follow those that came back.
std::uint32_t buffer_allocator::store(const pool_buffer& b, std::uint32_t next) {
  std::uint32_t w = free_word_;
  if (w == none) {
    w = static_cast<std::uint32_t>(words_.size());
    words_.emplace_back();
  } else {
    free_word_ = words_[w].next;
  }
  words_[w] = {b, next, {0xff, 0xff}};
  set_present(b.id, true);
  return w;
}

alloc_answer buffer_allocator::put(unsigned number, const pool_buffer& b) {
  if (const alloc_status s = check(number, b); s != alloc_status::ok) {
    counters_.double_frees += s == alloc_status::double_free;
    return {s, quick_cycles};
  }
  group& g = groups_[number];
  const std::uint32_t w = store(b, none);
  (g.tail == none ? g.head : words_[g.tail].next) = w;
  g.tail = w;
  ++g.free;
  ++counters_.puts;
  return {alloc_status::ok, memory_cycles};
}

void buffer_allocator::drop_head(group& g) {
  const std::uint32_t w = g.head;
  g.head = words_[w].next;
  if (g.head == none) g.tail = none;
  --g.free;
  set_present(words_[w].buffer.id, false);
  words_[w].next = std::exchange(free_word_, w);
}

taken_buffer buffer_allocator::take(unsigned number) {
  taken_buffer t;
  t.cycles = quick_cycles;
  if (number >= US_GROUPS) {
    t.status = alloc_status::bad_group;
    return t;
  }
  group& g = groups_[number];
  if (g.quota && g.out >= g.quota) {
    t.status = alloc_status::over_quota;
    return t;
  }
  const bool borrows = g.free == 0 && g.lender != US_NO_GROUP && groups_[g.lender].free != 0;
  const unsigned from = borrows ? g.lender : number;
  group& source = groups_[from];
  if (source.free == 0) {
    t.status = alloc_status::empty;
    return t;
  }
  t.cycles = memory_cycles;
  t.from = static_cast<std::uint8_t>(from);
  const word& w = words_[source.head];
  if (w.flipped[1] != 0xff) {
    t.status = alloc_status::uncorrectable;
    ++counters_.uncorrectable;
  } else {
    counters_.corrected += w.flipped[0] != 0xff;
    t.buffer = w.buffer;
    ++g.out;
    ++counters_.takes;
    counters_.borrowed += borrows;
  }
  drop_head(source);
  return t;
}

alloc_answer buffer_allocator::settle(unsigned number) {
  if (number >= US_GROUPS) return {alloc_status::bad_group, quick_cycles};
  if (groups_[number].out == 0) return {alloc_status::bad_state, quick_cycles};
  --groups_[number].out;
  return {alloc_status::ok, quick_cycles};
}

alloc_answer buffer_allocator::give_back(unsigned number, unsigned from, const pool_buffer& b) {
  if (number >= US_GROUPS) return {alloc_status::bad_group, quick_cycles};
  if (const alloc_status s = check(from, b); s != alloc_status::ok) {
    counters_.double_frees += s == alloc_status::double_free;
    return {s, quick_cycles};
  }
  if (groups_[number].out == 0) return {alloc_status::bad_state, quick_cycles};
  --groups_[number].out;
  group& g = groups_[from];
  const std::uint32_t w = store(b, g.head);
  g.head = w;
  if (g.tail == none) g.tail = w;
  ++g.free;
  return {alloc_status::ok, memory_cycles};
}

bool buffer_allocator::flip(unsigned number, std::uint32_t n, unsigned bit) {
  std::uint32_t w = groups_[number].head;
  for (; w != none && n; --n) w = words_[w].next;
  if (w == none) return false;
  std::uint8_t(&f)[2] = words_[w].flipped;
  if (f[0] == bit) {
    f[0] = std::exchange(f[1], std::uint8_t{0xff});
  } else if (f[1] == bit) {
    f[1] = 0xff;
  } else {
    f[f[0] == 0xff ? 0 : 1] = static_cast<std::uint8_t>(bit);
  }
  return true;
}

}  // namespace understudy
