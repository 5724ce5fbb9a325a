#include "model/core/buffer_allocator.h"

#include <algorithm>

namespace understudy {

namespace {
constexpr std::uint32_t index_mask = (1u << 21) - 1;
constexpr std::uint32_t longest = 1u << 20;
}  // namespace

buffer_allocator::buffer_allocator(std::uint32_t entries, unsigned id_bits)
    : entries_(entries),
      unused_(entries),
      present_(((std::size_t{1} << id_bits) + 63) / 64),
      id_bits_(id_bits) {}

void buffer_allocator::reset() {
  fresh_ = recycled_ = recycled_head_ = 0;
  unused_ = entries_;
  out_ = 0;
  groups_ = {};
  std::fill(present_.begin(), present_.end(), 0);
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
  return i >> id_bits_ == 0 && (present_[i / 64] >> (i % 64) & 1);
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
  return alloc_status::ok;
}

// The code is linear: decoding a word gives what was written, changed by what decoding its flips gives.
buffer_allocator::read_word buffer_allocator::read(std::uint32_t index) const {
  read_word r{words_[index]};
  if (flips_.empty()) return r;
  const flips& f = flips_[index];
  const auto b = buffer_code::decode(f.buffer);
  r.buffer = b.status;
  r.w.buffer.at.raw ^= b.data[0];
  r.w.buffer.id.raw ^= static_cast<std::uint32_t>(b.data[1]);
  r.w.buffer.length ^= static_cast<std::uint32_t>(b.data[1] >> 32);
  const auto first = link_code::decode(f.link[0]);
  const auto second = link_code::decode(f.link[1]);
  const bool first_lost = first.status == secded_status::uncorrectable;
  r.w.next ^= static_cast<std::uint32_t>(first_lost ? second.data[0] : first.data[0]);
  if (first_lost && second.status == secded_status::uncorrectable)
    r.link = secded_status::uncorrectable;
  else if (first.status != secded_status::clean || second.status != secded_status::clean)
    r.link = secded_status::corrected;
  return r;
}

void buffer_allocator::write(std::uint32_t index, const word& w) {
  words_[index] = w;
  if (!flips_.empty()) flips_[index] = {};
}

void buffer_allocator::write_link(std::uint32_t index, std::uint32_t next) {
  words_[index].next = next;
  if (!flips_.empty()) flips_[index].link[0] = flips_[index].link[1] = {};
}

bool buffer_allocator::leads_on(const read_word& r) const {
  return r.link != secded_status::uncorrectable && r.w.next < fresh_;
}

// A word for a buffer: the latest that came back, else one that never was used. unused_ > 0; false: the link
// to the others that came back is lost, and so are they.
bool buffer_allocator::find_word(std::uint32_t& index) {
  if (recycled_ == 0) {
    index = fresh_++;
    if (words_.size() < fresh_) words_.emplace_back();
    --unused_;
    return true;
  }
  index = recycled_head_;
  const read_word r = read(index);
  if (recycled_ > 1 && !leads_on(r)) {
    ++counters_.uncorrectable;
    unused_ -= recycled_;
    recycled_ = 0;
    return false;
  }
  counters_.corrected += r.link != secded_status::clean;
  recycled_head_ = r.w.next;
  --recycled_;
  --unused_;
  return true;
}

alloc_answer buffer_allocator::put(unsigned number, const pool_buffer& b) {
  alloc_status s = check(number, b);
  if (s == alloc_status::ok && unused_ <= out_) s = alloc_status::full;
  if (s != alloc_status::ok) {
    counters_.double_frees += s == alloc_status::double_free;
    return {s, quick_cycles};
  }
  std::uint32_t w = 0;
  if (!find_word(w)) return {alloc_status::uncorrectable, memory_cycles};
  group& g = groups_[number];
  write(w, {b, 0});
  if (g.free)
    write_link(g.tail, w);
  else
    g.head = w;
  g.tail = w;
  ++g.free;
  set_present(b.id, true);
  ++counters_.puts;
  return {alloc_status::ok, memory_cycles};
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
  const bool borrows = g.free == 0 && g.lender != US_NO_GROUP;
  const unsigned from = borrows ? g.lender : number;
  group& source = groups_[from];
  if (source.free == 0) {
    t.status = alloc_status::empty;
    return t;
  }
  t.cycles = memory_cycles;
  t.from = static_cast<std::uint8_t>(from);
  const std::uint32_t w = source.head;
  const read_word r = read(w);
  const bool cut = source.free > 1 && !leads_on(r);  // the last one's link is not needed
  source.free = cut ? 0 : source.free - 1;
  source.head = r.w.next;
  write_link(w, recycled_head_);
  recycled_head_ = w;
  ++recycled_;
  ++unused_;
  if (cut || r.buffer == secded_status::uncorrectable || !present(r.w.buffer.id)) {
    t.status = alloc_status::uncorrectable;
    ++counters_.uncorrectable;
    return t;
  }
  counters_.corrected += r.buffer != secded_status::clean || r.link != secded_status::clean;
  set_present(r.w.buffer.id, false);
  t.buffer = r.w.buffer;
  ++g.out;
  ++out_;
  ++counters_.takes;
  counters_.borrowed += borrows;
  return t;
}

alloc_answer buffer_allocator::settle(unsigned number) {
  if (number >= US_GROUPS) return {alloc_status::bad_group, quick_cycles};
  if (groups_[number].out == 0) return {alloc_status::bad_state, quick_cycles};
  --groups_[number].out;
  --out_;
  return {alloc_status::ok, quick_cycles};
}

alloc_answer buffer_allocator::give_back(unsigned number, unsigned from, const pool_buffer& b) {
  if (number >= US_GROUPS) return {alloc_status::bad_group, quick_cycles};
  alloc_status s = check(from, b);
  if (s == alloc_status::ok && groups_[number].out == 0) s = alloc_status::bad_state;
  if (s == alloc_status::ok && unused_ == 0) s = alloc_status::full;  // only where words were lost
  if (s != alloc_status::ok) {
    counters_.double_frees += s == alloc_status::double_free;
    return {s, quick_cycles};
  }
  std::uint32_t w = 0;
  if (!find_word(w)) return {alloc_status::uncorrectable, memory_cycles};
  --groups_[number].out;
  --out_;
  group& g = groups_[from];
  write(w, {b, g.head});
  if (g.free == 0) g.tail = w;
  g.head = w;
  ++g.free;
  set_present(b.id, true);
  return {alloc_status::ok, memory_cycles};
}

bool buffer_allocator::flip(unsigned number, std::uint32_t n, unsigned bit) {
  if (number > unused_words || bit >= word_bits) return false;
  if (n >= (number == unused_words ? recycled_ : groups_[number].free)) return false;
  std::uint32_t w = number == unused_words ? recycled_head_ : groups_[number].head;
  for (; n; --n) {
    const read_word r = read(w);
    if (!leads_on(r)) return false;
    w = r.w.next;
  }
  if (flips_.empty()) flips_.resize(entries_);
  flips& f = flips_[w];
  if (bit < buffer_code::code_bits)
    buffer_code::flip(f.buffer, bit);
  else if (bit -= buffer_code::code_bits; bit < link_code::code_bits)
    link_code::flip(f.link[0], bit);
  else
    link_code::flip(f.link[1], bit - link_code::code_bits);
  return true;
}

}  // namespace understudy
