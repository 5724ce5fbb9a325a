#include "tb/platform/single_dma.h"

#include <algorithm>
#include <stdexcept>

#include "tb/platform/raw_forecast.h"
#include "tb/platform/raw_traffic.h"
#include "tb/report/percentile.h"

namespace understudy::tb {

namespace {

constexpr std::uint32_t header_bytes = 54;  // Ethernet, IPv4, TCP
constexpr std::uint32_t sizes[] = {64, 128, 256, 512, 1024, 1514, 4096, 9000};

// Watches one adapter: when the doorbell came, when the frame's first bit left, and what the link had carried
// by then.
class window final : public event_observer {
 public:
  window(event_log& log, pcie_port& port) : port_(port) { log.subscribe(this); }
  void open() {
    rung_ = sent_ = 0;
    left_.clear();
  }
  void on_event(const event& e) override {
    if (e.unit != 0) return;
    if (e.kind == event_kind::mmio_write && e.a == US_REG_IDT_TAIL && !rung_) {
      rung_ = e.at;
      before_ = port_.counters();
    }
    if (e.kind == event_kind::frame_out && rung_) left_.push_back(e.at);
    if (e.kind == event_kind::frame_out && rung_ && !sent_) {
      sent_ = e.at;
      after_ = port_.counters();
    }
  }
  bool closed() const { return sent_ != 0; }
  picos latency() const { return sent_ - rung_; }
  // Instants at which frames left since the doorbell.
  const std::vector<picos>& left() const { return left_; }
  std::uint64_t tlps() const {
    return after_.tlps_up + after_.tlps_down - before_.tlps_up - before_.tlps_down;
  }
  std::uint64_t link_bytes() const {
    return after_.bytes_up + after_.bytes_down - before_.bytes_up - before_.bytes_down;
  }

 private:
  pcie_port& port_;
  picos rung_ = 0, sent_ = 0;
  pcie_counters before_, after_;
  std::vector<picos> left_;
};

struct samples {
  std::vector<picos> latency;
  std::vector<std::uint64_t> tlps, link_bytes;
  std::uint64_t operations = 0, maps = 0, unmaps = 0, iommu_maps = 0, iommu_unmaps = 0;
  raw_forecast expected;
  double rate = 0, expected_rate = 0;  // packets a second
};

single_dma_row row_of(std::uint32_t bytes, bool gathered, const samples& s) {
  const auto n = static_cast<double>(s.latency.size());
  single_dma_row r;
  r.bytes = bytes;
  r.gathered = gathered;
  r.packets = static_cast<std::uint32_t>(s.latency.size());
  r.operations = static_cast<double>(s.operations) / n;
  r.maps = static_cast<double>(s.maps) / n;
  r.unmaps = static_cast<double>(s.unmaps) / n;
  r.tlps = percentile(s.tlps, 500);
  r.tlps_analytic = s.expected.tlps;
  r.link_bytes = percentile(s.link_bytes, 500);
  r.link_bytes_analytic = s.expected.link_bytes;
  r.latency = percentile(s.latency, 500);
  r.latency_analytic = static_cast<picos>(s.expected.latency_ns * 1e3);
  r.packets_per_s = s.rate;
  r.packets_per_s_analytic = s.expected_rate;
  r.iommu_maps = static_cast<double>(s.iommu_maps) / n;
  r.iommu_unmaps = static_cast<double>(s.iommu_unmaps) / n;
  return r;
}

}  // namespace

class single_dma::experiment {
 public:
  experiment(platform& p, event_log& log, const scenario& s)
      : p_(p),
        traffic_(p, "workload.raw_packets"),
        card_(adapter_of(s)),
        bus_(pcie_of(s)),
        wire_(s.wire.rate),
        window_(log, *p.main.slots[0].port) {
    traffic_.in_driver([this] { raw_ = traffic_.open_path(host::driver::shared_table); });
    // Memory of the stack's own, which no adapter reaches but while it is mapped.
    header_ = p_.main.memory->allocate(4096, 4096);
    payload_ = p_.main.memory->allocate(16384, 4096);
    if (!raw_ || !payload_.cpu) throw std::runtime_error("the adapter sends no frames of the host's");
    for (unsigned i = 0; i < header_bytes; ++i) head_[i] = static_cast<std::uint8_t>(i);
    address_frame(head_);
  }

  void send(std::uint32_t bytes, bool gather, samples& out) {
    const auto ops = p_.main.slots[0].device->counters().raw_reads;
    const host::raw_send_counters before = raw_->counters();
    const iommu_counters translated = p_.main.slots[0].port->translation().counters();
    traffic_.expect(1);
    window_.open();
    std::vector<raw_piece_at> pieces;
    traffic_.in_driver([&] {
      const host::ring_facts rings = traffic_.driver().rings(0);
      const std::uint64_t index = rings.first_index + traffic_.driver().counters().descriptors;
      table_ = rings.idt_iova + index % rings.idt_entries * US_ENTRY_BYTES;
      pieces = post(bytes, gather);
    });
    traffic_.wait([this] { return traffic_.all_told() && window_.closed(); });
    out.latency.push_back(window_.latency());
    out.tlps.push_back(window_.tlps());
    out.link_bytes.push_back(window_.link_bytes());
    out.operations += p_.main.slots[0].device->counters().raw_reads - ops;
    out.maps += raw_->counters().maps - before.maps;
    out.unmaps += raw_->counters().unmaps - before.unmaps;
    const iommu_counters& now = p_.main.slots[0].port->translation().counters();
    out.iommu_maps += now.maps - translated.maps;
    out.iommu_unmaps += now.unmaps - translated.unmaps;
    if (out.latency.size() == 1) out.expected = forecast_raw(bus_, card_, table_, pieces);
  }

  // How fast they leave when many wait behind one doorbell: from the frame at which the adapter has got into
  // its stride to the last.
  void send_many(std::uint32_t bytes, bool gather, samples& out) {
    constexpr std::uint32_t frames = 48, first = 8;
    traffic_.expect(frames);
    window_.open();
    std::vector<raw_piece_at> pieces;
    traffic_.in_driver([&] {
      for (std::uint32_t i = 0; i < frames; ++i) pieces = post(bytes, gather);
    });
    traffic_.wait([&] { return traffic_.all_told() && window_.left().size() == frames; });
    const std::vector<picos>& left = window_.left();
    out.rate = (frames - 1 - first) * 1e12 / static_cast<double>(left.back() - left[first]);
    out.expected_rate = forecast_raw_rate(bus_, card_, wire_, table_, pieces);
  }

  void add_to(raw_frame_counts& counts) const { add(counts, raw_->counters()); }

 private:
  // One frame's descriptors; where its pieces lie.
  std::vector<raw_piece_at> post(std::uint32_t bytes, bool gather) {
    const std::uint32_t payload = bytes - header_bytes;
    if (gather) {
      std::copy_n(head_, header_bytes, header_.cpu);
      raw_->xmit_gather({header_.iova, header_bytes}, {payload_.iova, payload}, 0);
      return {{header_.iova, header_bytes}, {payload_.iova, payload}};
    }
    host::tx_buffer* b = traffic_.driver().raw_buffers().take();
    if (!b) throw std::runtime_error("no transmit buffer is free");
    raw_->xmit(*b, payload, head_, header_bytes, 0);
    return {{b->iova + b->headroom - header_bytes, bytes}};
  }

  platform& p_;
  raw_traffic traffic_;
  const adapter_config card_;
  const pcie_config bus_;
  const bits_per_second wire_;
  window window_;
  host::raw_send* raw_ = nullptr;
  host_memory::region header_, payload_;
  std::uint8_t head_[header_bytes] = {};
  std::uint64_t table_ = 0;
};

single_dma::single_dma(platform& p, event_log& log, const scenario& s)
    : experiment_(std::make_unique<experiment>(p, log, s)), packets_(s.workload.raw_packets) {}

single_dma::~single_dma() = default;

std::vector<single_dma_row> single_dma::run() {
  std::vector<single_dma_row> rows;
  for (const std::uint32_t bytes : sizes) {
    samples single, gathered;
    for (std::uint32_t i = 0; i < packets_; ++i) {
      experiment_->send(bytes, false, single);
      experiment_->send(bytes, true, gathered);
    }
    experiment_->send_many(bytes, false, single);
    experiment_->send_many(bytes, true, gathered);
    rows.push_back(row_of(bytes, false, single));
    rows.push_back(row_of(bytes, true, gathered));
  }
  return rows;
}

void single_dma::add_to(raw_frame_counts& counts) const {
  experiment_->add_to(counts);
}

}  // namespace understudy::tb
