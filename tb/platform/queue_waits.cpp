#include "tb/platform/queue_waits.h"

#include <algorithm>
#include <stdexcept>

#include "tb/platform/raw_traffic.h"
#include "tb/report/percentile.h"

namespace understudy::tb {

namespace {

constexpr std::uint32_t header_bytes = 14;  // Ethernet
constexpr std::uint32_t small = 64, large = 9000, backlog = 48;
// The small frame is posted so long after the large ones, another step longer each time.
constexpr picos step = 2_us;
constexpr std::uint32_t samples = 50;

}  // namespace

class queue_waits::experiment final : public event_observer {
 public:
  experiment(platform& p, event_log& log, const scenario& s) : p_(p), traffic_(p, "workload.raw_queues") {
    log.subscribe(this, {event_kind::mmio_write, event_kind::frame_out});
    unit_ = traffic_.driver().active_adapter();
    traffic_.in_driver([&] {
      for (std::uint32_t q = 0; q < s.workload.raw_queues; ++q) paths_.push_back(traffic_.open_path(q));
    });
    if (std::find(paths_.begin(), paths_.end(), nullptr) != paths_.end())
      throw std::runtime_error("the adapter has too few transmit queues");
    address_frame(head_);
  }

  // The small frame goes by queue `small_queue`, the large ones by the first `large_queues`.
  queue_wait_row measure(std::uint32_t large_queues, std::uint32_t small_queue) {
    std::vector<picos> waits;
    for (std::uint32_t i = 0; i < samples; ++i) {
      traffic_.expect(backlog + 1);
      rung_ = left_ = 0;
      doorbell_ = 0;
      traffic_.in_driver([&] {
        for (std::uint32_t n = 0; n < backlog; ++n) post(n % large_queues, large);
      });
      p_.main.machine->post_at(now_ps() + i * step, [this, small_queue] {
        doorbell_ = US_TX_QUEUE(small_queue) + US_TX_TAIL;
        post(small_queue, small);
      });
      traffic_.wait([this] { return traffic_.all_told() && left_ != 0; });
      waits.push_back(left_ - rung_);
    }
    const bool own = small_queue >= large_queues;
    return {own ? large_queues + 1 : 1,
            backlog,
            samples,
            percentile(waits, 500),
            percentile(waits, 990),
            *std::max_element(waits.begin(), waits.end())};
  }

  std::uint32_t queues() const { return static_cast<std::uint32_t>(paths_.size()); }

  void add_to(raw_frame_counts& to) const {
    for (const host::raw_send* path : paths_) add(to, path->counters());
  }

  void on_event(const event& e) override {
    if (e.unit != unit_) return;
    if (e.kind == event_kind::mmio_write && doorbell_ && e.a == doorbell_) {
      rung_ = e.at;
      doorbell_ = 0;
    }
    if (e.kind == event_kind::frame_out && e.a == small && rung_ && !left_) left_ = e.at;
  }

 private:
  void post(std::uint32_t queue, std::uint32_t bytes) {
    host::tx_buffer* b = traffic_.driver().raw_buffers(queue).take();
    if (!b) throw std::runtime_error("no transmit buffer is free");
    paths_[queue]->xmit(*b, bytes - header_bytes, head_, header_bytes, 0);
  }

  platform& p_;
  raw_traffic traffic_;
  unsigned unit_ = 0;
  std::vector<host::raw_send*> paths_;  // by queue
  std::uint8_t head_[header_bytes] = {};
  std::uint64_t doorbell_ = 0;  // register of the small frame's, while it has not come
  picos rung_ = 0, left_ = 0;   // of the small frame: its doorbell, its first bit
};

queue_waits::queue_waits(platform& p, event_log& log, const scenario& s)
    : experiment_(std::make_unique<experiment>(p, log, s)) {}

queue_waits::~queue_waits() = default;

std::vector<queue_wait_row> queue_waits::run() {
  const std::uint32_t n = experiment_->queues();
  return {experiment_->measure(1, 0), experiment_->measure(n - 1, n - 1)};
}

void queue_waits::add_to(raw_frame_counts& counts) const {
  experiment_->add_to(counts);
}

}  // namespace understudy::tb
