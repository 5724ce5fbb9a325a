#include "model/cosim/dma_unit.h"

#include <Vdma_engine_16.h>
#include <Vdma_engine_32.h>
#include <Vdma_engine_64.h>
#include <Vdma_engine_8.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/core/fifo.h"
#include "model/cosim/dma_pins.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

template <class Top>
class dma_rtl final : public dma_unit {
 public:
  explicit dma_rtl(const dma_unit_limits& l) : top_(rtl_.pins()) {
    for (std::uint16_t id = 0; id < transfers; ++id) free_ids_.push_back(id);
    idle_dma_pins(top_, l.mps, l.mrrs, l.tags);
  }

  void limit(const dma_unit_limits& l) override {
    top_.mps_i = static_cast<std::uint16_t>(l.mps);
    top_.mrrs_i = static_cast<std::uint16_t>(l.mrrs);
    top_.tags_i = static_cast<std::uint16_t>(l.tags);
  }

  bool has_room(dma_op kind) const override { return asking_[kind == dma_op::read].size() < queue_depth; }

  void post(const dma_unit_transfer& t) override {
    if (!has_room(t.op)) throw std::logic_error("dma_unit: more transfers than the block has room for");
    const std::uint16_t id = free_ids_.pop_front();
    transfer_[id] = t;
    transfer_[id].lane %= 64;
    if (t.op == dma_op::write && t.length <= small_bytes) {
      std::memcpy(small_[id], t.local, t.length);
      transfer_[id].local = small_[id];
    }
    asking_[t.op == dma_op::read].push_back(id);
    offer_[(first_offer_ + offered_++) % offers] = {
        t.op, false, t.address, id << transfer_bits | transfer_[id].lane, t.length, id};
  }

  bool has_request(bool tag) const override {
    const auto& [posted, reads] = asking_;
    return (!posted.empty() && (tag || transfer_[posted[0]].op == dma_op::write)) || (!reads.empty() && tag);
  }
  bool has_read() const override { return !asking_[1].empty(); }

  dma_unit_request next_request(std::uint8_t* payload) override {
    dma_unit_request r;
    top_.tx_ready_i = 1;
    for (std::uint32_t waited = 0;; ++waited) {
      settle();
      const bool taken = top_.tx_valid_o;
      bool last = false;
      if (taken) {
        last = top_.tx_last_o;
        r.op = static_cast<dma_op>(top_.tx_op_o);
        if (top_.tx_first_o) {
          r.address = top_.tx_address_o;
          r.length = top_.tx_length_o;
          r.tag = top_.tx_tag_o;
          r.cookie = transfer_[top_.tx_id_o].cookie;
          left_ = r.length;
        }
        if (r.op == dma_op::write) {
          const std::uint32_t n = std::min(left_, width);
          std::memcpy(payload + (r.length - left_), &top_.tx_data_o, n);
          left_ -= n;
        }
      }
      edge();
      if (last) break;
      if (waited == patience_cycles) throw std::logic_error("rtl/dma_engine.sv: no request comes");
    }
    top_.tx_ready_i = 0;
    asked(r);
    return r;
  }

  void complete(std::uint32_t tag, bool ok, const std::uint8_t* data, std::uint32_t length,
                bool last) override {
    if (!ok) length = 0;
    reported_ = false;
    std::uint32_t at = 0;
    std::uint32_t waited = 0;
    do {
      drive_dma_completion(top_, tag, ok, data, length, at);
      settle();
      const bool accepted = top_.cpl_ready_o;
      edge();
      if (accepted) at += width;
      if (++waited == patience_cycles) throw std::logic_error("rtl/dma_engine.sv: a completion is not taken");
    } while (at < length || at == 0);
    top_.cpl_valid_i = 0;
    for (; last && !reported_; ++waited) {
      settle();
      edge();
      if (waited == patience_cycles) throw std::logic_error("rtl/dma_engine.sv: no report of a transfer");
    }
  }

  dma_unit_report last_report() const override { return report_; }
  std::uint64_t cycles() const override { return rtl_.cycles(); }
  void record(std::vector<std::uint8_t>* to) override { record_ = to; }

 private:
  static constexpr std::uint32_t width = sizeof(Top::tx_data_o);
  static constexpr std::uint32_t patience_cycles = 4096;
  // More than are ever under way: reads with a report slot, and what waits or is on its way out.
  static constexpr std::uint16_t transfers = 2 * dma_block_tags;
  static constexpr std::uint32_t transfer_bits = 21;
  static constexpr std::uint32_t small_bytes = 64;
  static constexpr std::uint32_t offers = 2 * queue_depth;

  void asked(const dma_unit_request& r) {
    const bool read = r.op == dma_op::read;
    asked_bytes_[read] += r.length;
    if (asked_bytes_[read] != transfer_[asking_[read].front()].length) return;
    asking_[read].drop_front();
    asked_bytes_[read] = 0;
  }

  // The bytes that a beat of packet memory shares with its transfer: [first, end) of the beat.
  struct part {
    std::uint8_t* bytes;
    std::uint32_t first, end;
  };
  part part_of(std::uint32_t address) const {
    const dma_unit_transfer& t = transfer_[address >> transfer_bits];
    const std::uint32_t beat = address & ((1u << transfer_bits) - 1);
    const std::uint32_t first = beat < t.lane ? t.lane - beat : 0;
    const std::uint32_t end = std::min(width, t.lane + t.length - beat);
    return {t.local + (beat + first - t.lane), first, end};
  }

  // One cycle of everything around the block but requests and completions. Descriptors go in meanwhile, on
  // the port that they have for themselves.
  void settle() {
    top_.desc_valid_i = 0;
    if (offered_) drive_dma_descriptor(top_, offer_[first_offer_]);
    top_.ram_rd_data_valid_i = fetching_[0].valid;
    if (fetching_[0].valid) {
      const part p = part_of(fetching_[0].address);
      auto* beat = reinterpret_cast<std::uint8_t*>(&top_.ram_rd_data_i);
      if (p.end - p.first == width)
        std::memcpy(beat, p.bytes, width);
      else
        std::memcpy(beat + p.first, p.bytes, p.end - p.first);
    }
    if (record_) {
      dma_inputs<Top> now;
      now.take(top_);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&now);
      record_->insert(record_->end(), bytes, bytes + sizeof now);
    }
    rtl_.settle();
    fetching_[0] = fetching_[1];
    fetching_[1] = {top_.ram_rd_valid_o != 0, top_.ram_rd_address_o};
    if (top_.ram_wr_valid_o) {
      const part p = part_of(top_.ram_wr_address_o);
      const auto* beat = reinterpret_cast<const std::uint8_t*>(&top_.ram_wr_data_o);
      std::uint64_t strobe = 0;
      std::memcpy(&strobe, &top_.ram_wr_strobe_o, sizeof(top_.ram_wr_strobe_o));
      const auto first = static_cast<std::uint32_t>(std::countr_zero(strobe));
      const auto count = static_cast<std::uint32_t>(std::countr_one(strobe >> first));
      if (first < p.first || first + count > p.end || (first + count < 64 && strobe >> (first + count)))
        throw std::logic_error("rtl/dma_engine.sv: a write beside its transfer");
      if (count == width)
        std::memcpy(p.bytes, beat, width);
      else
        std::memcpy(p.bytes + (first - p.first), beat + first, count);
    }
    if (top_.done_valid_o) {
      report_ = {transfer_[top_.done_id_o].cookie, static_cast<dma_status>(top_.done_status_o),
                 top_.done_bytes_o};
      if (transfer_[top_.done_id_o].op != dma_op::write) reported_ = true;
      free_ids_.push_back(top_.done_id_o);
    }
  }
  void edge() {
    const bool accepted = top_.desc_valid_i && top_.desc_ready_o;
    rtl_.edge();
    if (!accepted) return;
    first_offer_ = (first_offer_ + 1) % offers;
    --offered_;
  }

  rtl_harness<Top> rtl_;
  Top& top_;
  dma_unit_transfer transfer_[transfers];
  std::uint8_t small_[transfers][small_bytes];
  fifo<std::uint16_t> free_ids_;  // a name is another's when the report with it has come
  dma_descriptor offer_[offers];  // to be taken, in order
  std::uint32_t first_offer_ = 0, offered_ = 0;
  std::uint32_t left_ = 0;
  // Of writes with flushes, and of reads: names of those with requests to come, and the bytes that the first
  // one has asked for.
  fifo<std::uint16_t> asking_[2];
  std::uint32_t asked_bytes_[2] = {};
  struct fetch {
    bool valid = false;
    std::uint32_t address = 0;
  };
  fetch fetching_[2];  // packet memory answers after two cycles
  dma_unit_report report_;
  bool reported_ = false;
  std::vector<std::uint8_t>* record_ = nullptr;
};

}  // namespace

std::unique_ptr<dma_unit> make_dma_rtl(const dma_unit_limits& limits, std::uint32_t data_bytes) {
  if (limits.tags < 1 || limits.tags > dma_unit::max_tags)
    throw std::invalid_argument("dma_engine: tags is " + std::to_string(limits.tags) + ", allowed are 1 to " +
                                std::to_string(dma_unit::max_tags));
  switch (data_bytes) {
    case 8:
      return std::make_unique<dma_rtl<Vdma_engine_8>>(limits);
    case 16:
      return std::make_unique<dma_rtl<Vdma_engine_16>>(limits);
    case 32:
      return std::make_unique<dma_rtl<Vdma_engine_32>>(limits);
    case 64:
      return std::make_unique<dma_rtl<Vdma_engine_64>>(limits);
    default:
      throw std::invalid_argument("dma_engine: data_bytes is " + std::to_string(data_bytes) +
                                  ", allowed are 8, 16, 32 and 64");
  }
}

}  // namespace understudy
