#include "model/core/connection_store.h"

#include <algorithm>

namespace understudy {
namespace {

constexpr std::uint64_t valid = std::uint64_t{1} << 63;
constexpr std::uint64_t index_mask = (std::uint64_t{1} << connection_store::index_bits) - 1;

// The word of a key, without an index.
std::uint64_t tag_of(std::uint64_t key) {
  return valid | (key >> 21) << connection_store::index_bits;
}

}  // namespace

void connection_store::touch(std::size_t base, std::uint32_t way) {
  used_[base + way] = 1;
  const auto first = used_.begin() + static_cast<std::ptrdiff_t>(base);
  if (std::find(first, first + ways_, 0) != first + ways_) return;
  std::fill(first, first + ways_, std::uint8_t{0});
  used_[base + way] = 1;
}

store_answer connection_store::run(const store_request& r) {
  const std::size_t base = (r.key & (sets_ - 1)) * ways_;
  store_answer a;
  a.cycles = store_cycles;
  if (r.op == store_op::flip) {
    for (std::size_t i = 0; i < r.flip.size(); ++i) words_[base + r.way][i] ^= r.flip[i];
    return a;
  }
  std::uint32_t found = ways_, empty = ways_, idle = ways_;
  for (std::uint32_t w = ways_; w-- > 0;) {
    store_code::code_type& word = words_[base + w];
    const store_code::decoded read = store_code::decode(word);
    if (read.status == secded_status::corrected) {
      ++a.corrected;
      word = store_code::encode(read.data);
    }
    if (read.status == secded_status::uncorrectable) {
      ++a.dropped;
      word = {};
      used_[base + w] = 0;
    }
    if ((word[0] & ~index_mask) == tag_of(r.key)) found = w;
    if (!(word[0] & valid)) empty = w;
    if (!used_[base + w]) idle = w;
  }
  if (r.op == store_op::scrub) return a;
  a.hit = found != ways_;
  if (a.hit) a.index = static_cast<std::uint32_t>(words_[base + found][0] & index_mask);
  if (r.op == store_op::lookup) {
    if (a.hit) touch(base, found);
  } else if (r.op == store_op::remove) {
    if (a.hit) {
      words_[base + found] = {};
      used_[base + found] = 0;
    }
  } else {
    std::uint32_t to = found;
    if (to == ways_) to = empty;
    if (to == ways_) to = idle;
    if (to == ways_) to = 0;
    store_code::code_type& word = words_[base + to];
    a.evicted = !a.hit && (word[0] & valid);
    if (a.evicted) a.victim = static_cast<std::uint32_t>(word[0] & index_mask);
    word = store_code::encode({tag_of(r.key) | (r.index & index_mask)});
    touch(base, to);
  }
  return a;
}

}  // namespace understudy
