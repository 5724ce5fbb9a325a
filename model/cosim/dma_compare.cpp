#include "model/cosim/dma_compare.h"

#include <Vdma_engine_16.h>
#include <Vdma_engine_32.h>
#include <Vdma_engine_64.h>
#include <Vdma_engine_8.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <stdexcept>

#include "model/cosim/dma_pins.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

// Everything around the block, cycle by cycle, as the workload says.
template <class Top>
class surroundings {
 public:
  surroundings(const dma_workload& w, const dma_corruption& c) : w_(w), corruption_(c), top_(rtl_.pins()) {
    idle_dma_pins(top_, w.mps, w.mrrs, w.tags);
    t_.memory = w.memory;
    t_.outcomes.resize(w.descriptors.size());
    for (std::size_t i = 0; i < w.descriptors.size(); ++i) by_id_[w.descriptors[i].id] = i;
    start_ = rtl_.cycles();
  }

  dma_trace run() {
    std::uint64_t quiet = 0;
    while (reported_ < w_.descriptors.size()) {
      drive();
      rtl_.settle();
      quiet = sample() ? 0 : quiet + 1;
      if (quiet > patience_cycles)
        throw std::logic_error("rtl/dma_engine.sv: a descriptor is never reported");
      rtl_.edge();
    }
    t_.cycles = last_report_ + 1;
    return std::move(t_);
  }
  std::uint64_t unexpected() const { return top_.unexpected_o; }

 private:
  static constexpr std::uint32_t width = sizeof(Top::tx_data_o);
  static constexpr std::uint64_t patience_cycles = 100000;

  struct completion {
    std::uint64_t due = 0;
    std::uint32_t tag = 0;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    bool ok = true;
  };

  std::uint64_t cycle() const { return rtl_.cycles() - start_; }
  bool flips(dma_corruption::place where) { return corruption_.where == where && seen_++ == corruption_.nth; }

  void drive() {
    const std::uint64_t now = cycle();
    top_.tx_ready_i = dma_ready(w_, dma_port::tx, now);
    top_.ram_rd_ready_i = dma_ready(w_, dma_port::ram_read, now);
    top_.ram_wr_ready_i = dma_ready(w_, dma_port::ram_write, now);
    top_.done_ready_i = dma_ready(w_, dma_port::done, now);
    top_.desc_valid_i = 0;
    if (offered_ < w_.descriptors.size() && now >= offered_ * w_.descriptor_gap)
      drive_dma_descriptor(top_, w_.descriptors[offered_]);
    top_.ram_rd_data_valid_i = !beats_.empty() && beats_.front().first == now;
    if (top_.ram_rd_data_valid_i) {
      std::memcpy(&top_.ram_rd_data_i, t_.memory.data() + beats_.front().second, width);
      beats_.pop_front();
    }
    if (!feeding_) {
      const auto next = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](const auto& a, const auto& b) { return a.due < b.due; });
      if (next != waiting_.end() && next->due <= now) {
        fed_ = *next;
        waiting_.erase(next);
        feeding_ = true;
        fed_bytes_ = 0;
        data_.resize(fed_.length);
        for (std::uint32_t i = 0; i < fed_.length; ++i) data_[i] = dma_host_byte(w_, fed_.address + i);
      }
    }
    top_.cpl_valid_i = feeding_;
    if (feeding_) drive_dma_completion(top_, fed_.tag, fed_.ok, data_.data(), fed_.length, fed_bytes_);
  }

  // What is handed over in this cycle. False: nothing.
  bool sample() {
    bool any = false;
    if (top_.desc_valid_i && top_.desc_ready_o) {
      t_.outcomes[offered_].id = w_.descriptors[offered_].id;
      t_.outcomes[offered_++].accepted = cycle();
      any = true;
    }
    if (top_.ram_rd_valid_o && top_.ram_rd_ready_i) {
      beats_.emplace_back(cycle() + w_.ram_latency, top_.ram_rd_address_o);
      any = true;
    }
    if (feeding_ && top_.cpl_ready_o) {
      fed_bytes_ += width;
      feeding_ = fed_bytes_ < fed_.length;
      any = true;
    }
    if (top_.ram_wr_valid_o && top_.ram_wr_ready_i) {
      write_packet_memory();
      any = true;
    }
    if (top_.tx_valid_o && top_.tx_ready_i) {
      take_request();
      any = true;
    }
    if (top_.done_valid_o && top_.done_ready_i) {
      dma_outcome& o = t_.outcomes[by_id_.at(top_.done_id_o)];
      o.status =
          static_cast<dma_status>(top_.done_status_o ^ (flips(dma_corruption::place::status) ? 1u : 0u));
      o.bytes = top_.done_bytes_o ^ (flips(dma_corruption::place::report) ? 1u : 0u);
      o.reported = last_report_ = cycle();
      ++reported_;
      any = true;
    }
    return any;
  }

  void write_packet_memory() {
    if (flips(dma_corruption::place::packet_memory)) {
      std::uint64_t strobe = 0;
      std::memcpy(&strobe, &top_.ram_wr_strobe_o, sizeof(top_.ram_wr_strobe_o));
      reinterpret_cast<std::uint8_t*>(&top_.ram_wr_data_o)[std::countr_zero(strobe)] ^= 1;
    }
    if (flips(dma_corruption::place::strobe)) reinterpret_cast<std::uint8_t*>(&top_.ram_wr_strobe_o)[0] ^= 1;
    if (top_.ram_wr_address_o + width > t_.memory.size())
      throw std::logic_error("rtl/dma_engine.sv: a write outside of packet memory");
    take_dma_ram_write(top_, t_.memory.data() + top_.ram_wr_address_o);
  }

  void take_request() {
    const auto op = static_cast<dma_op>(top_.tx_op_o);
    if (top_.tx_first_o) {
      request_ = {op, top_.tx_address_o, top_.tx_length_o, top_.tx_id_o};
      if (op != dma_op::write) {
        request_.tag = top_.tx_tag_o;
        if (flips(dma_corruption::place::tag)) request_.tag ^= 1;
      }
      if (flips(dma_corruption::place::operation))
        request_.op = static_cast<dma_op>(static_cast<unsigned>(op) ^ 1u);
      if (flips(dma_corruption::place::address)) request_.address ^= 1;
      if (flips(dma_corruption::place::length)) ++request_.length;
    }
    if (op == dma_op::write) {
      const auto* data = reinterpret_cast<const std::uint8_t*>(&top_.tx_data_o);
      std::uint64_t keep = 0;
      std::memcpy(&keep, &top_.tx_keep_o, sizeof(top_.tx_keep_o));
      const auto n = static_cast<std::uint32_t>(std::countr_one(keep));
      if (n < 64 && keep >> n) throw std::logic_error("rtl/dma_engine.sv: tx_keep_o has a hole");
      request_.payload.insert(request_.payload.end(), data, data + n);
      if (flips(dma_corruption::place::payload)) request_.payload.back() ^= 1;
    }
    if (!top_.tx_last_o) return;
    request_.cycle = cycle();
    (op == dma_op::read ? t_.reads : t_.writes).push_back(request_);
    if (op == dma_op::write) return;
    dma_answer(w_, op, request_.address, request_.length, answers_);
    std::uint64_t address = request_.address;
    for (const dma_completion& a : answers_) {
      waiting_.push_back({cycle() + a.after, top_.tx_tag_o, address, a.length, a.ok});
      address += a.length;
    }
  }

  const dma_workload& w_;
  const dma_corruption corruption_;
  rtl_harness<Top> rtl_;
  Top& top_;
  dma_trace t_;
  std::map<std::uint16_t, std::size_t> by_id_;
  std::uint64_t start_ = 0, seen_ = 0, last_report_ = 0;
  std::size_t offered_ = 0, reported_ = 0;
  std::deque<std::pair<std::uint64_t, std::uint32_t>> beats_;  // cycle, address
  std::vector<completion> waiting_;                            // in the order of requests
  completion fed_;
  bool feeding_ = false;
  std::uint32_t fed_bytes_ = 0;
  std::vector<std::uint8_t> data_;
  std::vector<dma_completion> answers_;
  dma_request request_;
};

template <class Top>
dma_trace run_with(const dma_workload& w, const dma_corruption& c, std::uint64_t* unexpected) {
  surroundings<Top> s(w, c);
  dma_trace t = s.run();
  if (unexpected) *unexpected = s.unexpected();
  return t;
}

std::string text_of(const dma_request& r) {
  return fmt::format("{} {} bytes at {:#x} for descriptor {} with tag {}",
                     r.op == dma_op::write  ? "write of"
                     : r.op == dma_op::read ? "read of"
                                            : "flush of",
                     r.length, r.address, r.id, r.tag);
}

std::optional<std::string> compare_requests(const std::vector<dma_request>& rtl,
                                            const std::vector<dma_request>& twin, const char* kind) {
  for (std::size_t i = 0; i < std::max(rtl.size(), twin.size()); ++i) {
    if (i >= rtl.size() || i >= twin.size())
      return fmt::format("dma_engine: {} {}s from the rtl, {} from the twin", rtl.size(), kind, twin.size());
    const dma_request &a = rtl[i], &b = twin[i];
    if (a.op != b.op || a.address != b.address || a.length != b.length || a.id != b.id || a.tag != b.tag)
      return fmt::format("dma_engine: {} {} differs at cycle {}: rtl [{}] twin [{}]", kind, i, a.cycle,
                         text_of(a), text_of(b));
    if (a.payload == b.payload) continue;
    const auto at = std::mismatch(a.payload.begin(), a.payload.end(), b.payload.begin(), b.payload.end());
    return fmt::format("dma_engine: payload of {} {} ({}) differs at cycle {} in byte {} of {} and {}", kind,
                       i, text_of(a), a.cycle, at.first - a.payload.begin(), a.payload.size(),
                       b.payload.size());
  }
  return std::nullopt;
}

}  // namespace

dma_trace run_dma_rtl(const dma_workload& w, const dma_corruption& corruption, std::uint64_t* unexpected) {
  switch (w.data_bytes) {
    case 8:
      return run_with<Vdma_engine_8>(w, corruption, unexpected);
    case 16:
      return run_with<Vdma_engine_16>(w, corruption, unexpected);
    case 32:
      return run_with<Vdma_engine_32>(w, corruption, unexpected);
    case 64:
      return run_with<Vdma_engine_64>(w, corruption, unexpected);
    default:
      throw std::invalid_argument("dma_engine: data_bytes is " + std::to_string(w.data_bytes) +
                                  ", allowed are 8, 16, 32 and 64");
  }
}

std::optional<std::string> compare_dma(const dma_trace& rtl, const dma_trace& twin) {
  if (auto d = compare_requests(rtl.writes, twin.writes, "write")) return d;
  if (auto d = compare_requests(rtl.reads, twin.reads, "read")) return d;
  for (std::size_t i = 0; i < rtl.outcomes.size(); ++i) {
    const dma_outcome &a = rtl.outcomes[i], &b = twin.outcomes.at(i);
    if (a.id != b.id || a.status != b.status || a.bytes != b.bytes)
      return fmt::format(
          "dma_engine: report of descriptor {} differs at cycle {}: rtl [status {}, {} bytes] twin [status "
          "{}, {} bytes]",
          a.id, a.reported, static_cast<int>(a.status), a.bytes, static_cast<int>(b.status), b.bytes);
  }
  if (rtl.memory == twin.memory) return std::nullopt;
  const auto at = std::mismatch(rtl.memory.begin(), rtl.memory.end(), twin.memory.begin(), twin.memory.end());
  return fmt::format("dma_engine: packet memory differs after cycle {} in byte {}", rtl.cycles,
                     at.first - rtl.memory.begin());
}

}  // namespace understudy
