#include "model/core/dma_block.h"

#include <algorithm>
#include <queue>

namespace understudy {

dma_status dma_check(std::uint64_t address, std::uint64_t length, bool no_fragment) {
  if (length == 0 || length > dma_max_bytes || (address + length < address && address + length != 0))
    return dma_status::bad_descriptor;
  return no_fragment && !dma_atomic(address, length) ? dma_status::not_atomic : dma_status::ok;
}

namespace {

constexpr std::uint64_t never_cycle = ~std::uint64_t{0};

// SplitMix64's finaliser.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

std::uint8_t dma_host_byte(const dma_workload& w, std::uint64_t address) {
  return static_cast<std::uint8_t>(mixed(w.seed ^ address >> 3) >> 8 * (address & 7));
}

bool dma_ready(const dma_workload& w, dma_port port, std::uint64_t cycle) {
  const std::uint32_t percent = w.ready_percent[static_cast<unsigned>(port)];
  return percent >= 100 || mixed(w.seed * 4 + static_cast<unsigned>(port) + (cycle << 20)) % 100 < percent;
}

void dma_answer(const dma_workload& w, dma_op op, std::uint64_t address, std::uint32_t length,
                std::vector<dma_completion>& out) {
  out.clear();
  std::uint64_t after = w.completion_latency;
  if (w.order == dma_order::reversed) after += 8 * (7 - address / 64 % 8);
  if (w.order == dma_order::random) after += mixed(w.seed ^ address << 1) % 256;
  if (op == dma_op::flush) {
    out.push_back({after, 0, true});
    return;
  }
  const bool fails = w.fail_one_in && mixed(w.seed + address) % w.fail_one_in == 0;
  for (std::uint32_t at = 0; at < length; after += 2) {
    // Completions end at naturally aligned boundaries (PCIe 2.3.1.1).
    const std::uint32_t room =
        w.completion_bytes - static_cast<std::uint32_t>((address + at) % w.completion_bytes);
    const std::uint32_t n = std::min(length - at, room);
    if (fails && (at || n == length)) {
      out.push_back({after, 0, false});
      return;
    }
    out.push_back({after, n, true});
    at += n;
  }
}

namespace {

// Cycles are those in which a beat, descriptor or report is handed over. The block's queues and registers
// (numbers as in rtl/dma_engine.sv) turn into bounds on them; nothing is stepped.
class block {
 public:
  explicit block(const dma_workload& w) : w_(w) {
    t_.memory = w.memory;
    t_.outcomes.resize(w.descriptors.size());
  }

  dma_trace run() {
    while (true) {
      take_and_split();
      const std::uint64_t write = write_ready();
      const std::uint64_t read = read_ready();
      const std::uint64_t first = std::min(write, read);
      if (first == never_cycle) break;
      const std::uint64_t at = std::max(first, tx_free_);
      if (read <= at && (reads_turn_ || write > at)) {
        give_read(at);
      } else {
        give_write(at);
      }
    }
    while (!completions_.empty()) complete_next();
    report();
    return std::move(t_);
  }

 private:
  static constexpr std::size_t queue_depth = 4, slots = dma_block_tags, ram_depth = 16;

  struct piece {
    std::uint64_t address = 0;
    std::uint32_t local = 0;
    std::uint32_t length = 0;  // 0: flush
    bool last = false;
    std::size_t descriptor = 0;
    std::uint64_t split = 0;
  };
  struct read_state {
    std::size_t descriptor = 0;
    std::uint64_t accepted = 0;
    std::uint32_t asked = 0;
    std::uint32_t open = 0;
    std::uint32_t moved = 0;
    bool ok = true;
    std::uint64_t ended = never_cycle;
  };
  struct waiting {  // a completion
    std::uint64_t due = 0;
    std::uint64_t order = 0;
    std::size_t read = 0;  // of reads_; with flush: of w_.descriptors
    bool flush = false;
    std::uint32_t local = 0;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    bool ok = true;
    bool last = false;  // of its request
    std::uint32_t tag = 0;
    bool operator>(const waiting& o) const { return due != o.due ? due > o.due : order > o.order; }
  };
  struct finished {
    std::uint64_t visible = 0;
    int priority = 0;
    std::size_t descriptor = 0;
  };

  std::uint64_t next_ready(dma_port port, std::uint64_t cycle) const {
    while (!dma_ready(w_, port, cycle)) ++cycle;
    return cycle;
  }

  // Descriptors into the queues of four, writes into pieces, as far as it is decided when.
  void take_and_split() {
    for (bool moved = true; moved;) {
      moved = take_descriptor();
      moved = split_one() || moved;
    }
  }
  bool take_descriptor() {
    if (taken_ == w_.descriptors.size()) return false;
    const dma_descriptor& d = w_.descriptors[taken_];
    const bool is_flush = d.op == dma_op::flush;
    const dma_status s = is_flush ? dma_status::ok : dma_check(d.address, d.length, d.no_fragment);
    std::uint64_t at = std::max<std::uint64_t>(next_take_, taken_ * w_.descriptor_gap);
    const auto& pops = s != dma_status::ok ? refused_pops_ : d.op == dma_op::read ? read_pops_ : write_pops_;
    const std::size_t before = s != dma_status::ok    ? refused_pops_.size()
                               : d.op == dma_op::read ? reads_.size()
                                                      : writes_.size();
    if (before >= queue_depth) {
      if (pops.size() <= before - queue_depth) return false;
      at = std::max(at, pops[before - queue_depth] + 1);
    }
    next_take_ = at + 1;
    dma_outcome& o = t_.outcomes[taken_];
    o.id = d.id;
    o.accepted = at;
    o.status = s;
    if (s != dma_status::ok) {
      refused_pops_.push_back(at + 1);
      finished_.push_back({at + 1, 2, taken_});
    } else if (d.op == dma_op::read) {
      reads_.emplace_back();
      reads_.back().descriptor = taken_;
      reads_.back().accepted = at;
    } else {
      writes_.push_back(taken_);
    }
    ++taken_;
    return true;
  }
  bool split_one() {
    if (write_pops_.size() == writes_.size()) return false;
    const std::size_t k = pieces_.size();
    if (k >= queue_depth && k - queue_depth >= emitted_) return false;
    const std::size_t descriptor = writes_[write_pops_.size()];
    const dma_descriptor& d = w_.descriptors[descriptor];
    piece p;
    p.descriptor = descriptor;
    p.address = d.address + split_bytes_;
    p.local = d.local + split_bytes_;
    p.split = std::max(next_split_, t_.outcomes[descriptor].accepted + 1);
    if (k >= queue_depth) p.split = std::max(p.split, piece_ends_[k - queue_depth] + 1);
    const std::size_t fetches = fetches_split_;
    if (fetches >= queue_depth) p.split = std::max(p.split, fetch_ends_[fetches - queue_depth] + 1);
    if (d.op == dma_op::flush) {
      p.last = true;
    } else {
      p.length = dma_first_request(p.address, d.length - split_bytes_, w_.mps);
      split_bytes_ += p.length;
      p.last = split_bytes_ == d.length;
      ++fetches_split_;
    }
    next_split_ = p.split + 1;
    if (p.last) {
      split_bytes_ = 0;
      write_pops_.push_back(p.split);
    }
    pieces_.push_back(p);
    return true;
  }

  // The cycle from which a tag is there; completions are worked off until it is known.
  std::uint64_t tag_time() {
    if (tags_given_ < w_.tags) return 0;
    const std::size_t needed = tags_given_ - w_.tags;
    while (tags_freed_.size() <= needed) complete_next();
    return tags_freed_[needed] + 1;
  }

  // Those never used come first, then the others in the order in which they became free. tag_time() has seen
  // to it that the one that is due is known.
  std::uint32_t give_tag() {
    const std::uint64_t k = tags_given_++;
    return k < w_.tags ? static_cast<std::uint32_t>(k) : freed_tags_[k - w_.tags];
  }

  // The cycle in which the beat `i` of packet memory, counted over all writes, is there.
  std::uint64_t fetch(std::uint64_t not_before) {
    std::uint64_t at = std::max(not_before, next_fetch_);
    if (fetched_ >= ram_depth) at = std::max(at, pops_[fetched_ % ram_depth] + 1);
    at = next_ready(dma_port::ram_read, at);
    ++fetched_;
    next_fetch_ = at + 1;
    return at + w_.ram_latency + 1;
  }
  void pop(std::uint64_t at) { pops_[popped_++ % ram_depth] = at; }

  // The cycle from which the write in front may go: its first bytes are there.
  std::uint64_t write_ready() {
    if (emitted_ == pieces_.size()) return never_cycle;
    const piece& p = pieces_[emitted_];
    const std::uint64_t front = std::max(p.split + 1, emitted_ ? piece_ends_[emitted_ - 1] + 1 : 0);
    if (p.length == 0) return std::max(front, tag_time());
    if (prepared_ == emitted_ + 1) return first_ready_;
    prepared_ = emitted_ + 1;
    const std::uint64_t first = std::max(front, fetch(p.split + 1));
    first_ready_ = first;
    if (p.local % w_.data_bytes) {  // the first beat moves aside to be joined with the next
      pop(first);
      first_ready_ = first + 1;
      if (p.length + p.local % w_.data_bytes > w_.data_bytes)
        first_ready_ = std::max(first_ready_, fetch(p.split + 1));
    }
    return first_ready_;
  }

  std::uint64_t read_ready() {
    if (reading_ == reads_.size()) return never_cycle;
    const read_state& r = reads_[reading_];
    std::uint64_t at = std::max(r.accepted + 1, next_read_);
    if (r.asked == 0 && reading_ >= slots) {
      while (reads_[reading_ - slots].ended == never_cycle) complete_next();
      at = std::max(at, reads_[reading_ - slots].ended + 1);
    }
    return std::max(at, tag_time());
  }

  void give_write(std::uint64_t at) {
    const piece& p = pieces_[emitted_];
    const dma_descriptor& d = w_.descriptors[p.descriptor];
    dma_request q{p.length ? dma_op::write : dma_op::flush, p.address, p.length, d.id};
    std::uint64_t load = at;
    if (p.length == 0) {
      q.tag = give_tag();
      tx_free_ = next_ready(dma_port::tx, load + 1);
      answer(dma_op::flush, p.address, 0, tx_free_, p.descriptor, 0, q.tag);
    } else {
      const std::uint32_t lane = p.local % w_.data_bytes;
      for (std::uint32_t sent = 0; sent < p.length; sent += w_.data_bytes) {
        const bool from_two = p.length - sent + lane > w_.data_bytes;
        if (sent) {
          load = tx_free_;
          if (!lane || from_two) load = std::max(load, fetch(p.split + 1));
        }
        if (!lane || from_two) pop(load);
        tx_free_ = next_ready(dma_port::tx, load + 1);
      }
      const auto from = t_.memory.begin() + p.local;
      q.payload.assign(from, from + p.length);
      fetch_ends_.push_back(next_fetch_ - 1);
      if (p.last) {
        t_.outcomes[p.descriptor].bytes = d.length;
        finished_.push_back({tx_free_ + 1, 1, p.descriptor});
      }
    }
    piece_ends_.push_back(load);
    ++emitted_;
    q.cycle = tx_free_;
    t_.writes.push_back(std::move(q));
    reads_turn_ = true;
  }

  void give_read(std::uint64_t at) {
    read_state& r = reads_[reading_];
    const dma_descriptor& d = w_.descriptors[r.descriptor];
    const std::uint64_t address = d.address + r.asked;
    const std::uint32_t n = dma_first_request(address, d.length - r.asked, w_.mrrs);
    tx_free_ = next_ready(dma_port::tx, at + 1);
    t_.reads.push_back({dma_op::read, address, n, d.id, tx_free_});
    t_.reads.back().tag = give_tag();
    ++r.open;
    answer(dma_op::read, address, n, tx_free_, reading_, d.local + r.asked, t_.reads.back().tag);
    r.asked += n;
    next_read_ = at + 1;
    if (r.asked == d.length) {
      read_pops_.push_back(at);
      ++reading_;
    }
    reads_turn_ = false;
  }

  void answer(dma_op op, std::uint64_t address, std::uint32_t length, std::uint64_t at, std::size_t who,
              std::uint32_t local, std::uint32_t tag) {
    dma_answer(w_, op, address, length, answers_);
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      const dma_completion& c = answers_[i];
      completions_.push({at + c.after, completion_order_++, who, op == dma_op::flush, local, address,
                         c.length, c.ok, i + 1 == answers_.size(), tag});
      local += c.length;
      address += c.length;
    }
  }

  // The next completion goes through to packet memory.
  void complete_next() {
    const waiting c = completions_.top();
    completions_.pop();
    std::uint64_t in = std::max(c.due, cpl_free_);
    std::uint64_t leave = in + 1;
    const std::uint32_t lane = c.local % w_.data_bytes;
    if (c.length) {
      const std::uint32_t beats = (c.length + w_.data_bytes - 1) / w_.data_bytes;
      for (std::uint32_t i = 0; i < beats; ++i) {
        in = i ? std::max(in + 1, leave) : std::max(in, out_free_);
        leave = next_ready(dma_port::ram_write, in + 1);
      }
      cpl_free_ = in + 1;
      if (lane + c.length > beats * w_.data_bytes) {  // one more beat of packet memory
        in = leave;
        leave = next_ready(dma_port::ram_write, in + 1);
        cpl_free_ = in + 1;
      }
      for (std::uint32_t i = 0; i < c.length; ++i) t_.memory[c.local + i] = dma_host_byte(w_, c.address + i);
    } else {
      in = std::max(in, out_free_);
      leave = in + 1;
      cpl_free_ = in + 1;
    }
    out_free_ = leave;
    if (c.last) {
      tags_freed_.push_back(leave);
      freed_tags_.push_back(c.tag);
    }
    if (c.flush) {
      finished_.push_back({leave + 1, 0, c.read});
      return;
    }
    read_state& r = reads_[c.read];
    r.moved += c.length;
    r.ok = r.ok && c.ok;
    if (c.last && --r.open == 0 && r.asked == w_.descriptors[r.descriptor].length) {
      r.ended = leave;
      dma_outcome& o = t_.outcomes[r.descriptor];
      o.bytes = r.moved;
      if (!r.ok) o.status = dma_status::failed;
      finished_.push_back({leave + 1, 0, r.descriptor});
    }
  }

  // Reports leave one after the other; of those that wait, reads first, then writes, then refusals.
  void report() {
    const auto later = [](const finished& a, const finished& b) { return a.visible > b.visible; };
    std::stable_sort(finished_.begin(), finished_.end(),
                     [&](const finished& a, const finished& b) { return later(b, a); });
    std::vector<finished> ready;
    std::uint64_t free = 0;
    for (std::size_t i = 0; i < finished_.size() || !ready.empty();) {
      if (ready.empty()) free = std::max(free, finished_[i].visible);
      for (; i < finished_.size() && finished_[i].visible <= free; ++i) ready.push_back(finished_[i]);
      const auto next =
          std::min_element(ready.begin(), ready.end(),
                           [](const finished& a, const finished& b) { return a.priority < b.priority; });
      free = next_ready(dma_port::done, free + 1);
      t_.outcomes[next->descriptor].reported = free;
      t_.cycles = free + 1;
      ready.erase(next);
    }
  }

  const dma_workload& w_;
  dma_trace t_;

  std::size_t taken_ = 0;
  std::uint64_t next_take_ = 0;
  std::vector<std::size_t> writes_;                                   // descriptors, flushes too
  std::vector<std::uint64_t> write_pops_, read_pops_, refused_pops_;  // when they leave their queue

  std::vector<piece> pieces_;
  std::uint32_t split_bytes_ = 0;
  std::uint64_t next_split_ = 0;
  std::size_t fetches_split_ = 0;
  std::vector<std::uint64_t> piece_ends_, fetch_ends_;
  std::size_t emitted_ = 0, prepared_ = 0;
  std::uint64_t first_ready_ = 0;

  std::uint64_t fetched_ = 0, popped_ = 0, next_fetch_ = 0;
  std::uint64_t pops_[ram_depth] = {};

  std::vector<read_state> reads_;
  std::size_t reading_ = 0;
  std::uint64_t next_read_ = 0;
  bool reads_turn_ = false;
  std::uint64_t tx_free_ = 0;
  std::uint64_t tags_given_ = 0;
  std::vector<std::uint64_t> tags_freed_;  // cycles, and
  std::vector<std::uint32_t> freed_tags_;  // which

  std::priority_queue<waiting, std::vector<waiting>, std::greater<>> completions_;
  std::vector<dma_completion> answers_;
  std::uint64_t completion_order_ = 0;
  std::uint64_t cpl_free_ = 0, out_free_ = 0;
  std::vector<finished> finished_;
};

}  // namespace

dma_trace run_dma_block(const dma_workload& w) {
  return block(w).run();
}

}  // namespace understudy
