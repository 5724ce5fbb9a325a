#include "model/core/congestion.h"

#include <algorithm>

namespace understudy {

namespace {

constexpr std::uint32_t window_limit = 1u << 30;

std::uint32_t least_threshold(const tcp_connection& c) {
  return 2 * c.effective_mss();
}

class newreno_control : public congestion_control {
 public:
  void grow(tcp_connection& c, std::uint32_t acked, picos) const override {
    c.cc_acked += acked;
    if (c.cc_acked < c.cwnd) return;
    c.cc_acked -= c.cwnd;
    c.cwnd = std::min(c.cwnd + c.effective_mss(), window_limit);
  }
  void idle(tcp_connection&) const override {}
  void reduce(tcp_connection& c, std::uint32_t flight) const override {
    c.ssthresh = std::max(flight / 2, least_threshold(c));
    c.cc_acked = 0;
  }
  void restart(tcp_connection&) const override {}
};

// Largest r with r * r * r <= v.
std::uint32_t cube_root(std::uint64_t v) {
  std::uint64_t r = 0;
  for (std::uint64_t bit = 1u << 21; bit; bit >>= 1) {
    const uint128 t = r + bit;
    if (t * t * t <= v) r += bit;
  }
  return static_cast<std::uint32_t>(r);
}

// Times in milliseconds, windows in bytes, integers throughout: floating point is not the same on every
// machine.
class cubic_control : public congestion_control {
 public:
  void grow(tcp_connection& c, std::uint32_t acked, picos now) const override {
    const std::uint32_t mss = c.effective_mss();
    if (!c.cubic_epoch) begin(c, mss, now);
    const picos since = now - c.cubic_epoch;
    c.cc_acked += acked;
    // W_est of 4.3: 9/17 of a segment a window until the window of before the loss is reached, then one.
    const std::uint64_t step =
        c.cubic_est >= c.cubic_prior ? c.cwnd : static_cast<std::uint64_t>(c.cwnd) * 17 / 9;
    if (c.cc_acked >= step) {
      c.cc_acked -= static_cast<std::uint32_t>(step);
      c.cubic_est += mss;
    }
    const std::uint64_t present = curve(c, mss, since);
    if (present < c.cubic_est) {
      c.cwnd = std::min(std::max(c.cwnd, c.cubic_est), window_limit);
      return;
    }
    const std::uint64_t ahead = curve(c, mss, since + static_cast<picos>(c.srtt_us) * 1_us);
    const std::uint64_t target = std::clamp<std::uint64_t>(ahead, c.cwnd, c.cwnd + c.cwnd / 2);
    const std::uint64_t more = (target - c.cwnd) * acked / c.cwnd;
    c.cwnd = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.cwnd + more, window_limit));
  }

  // 5.8. The curve goes on from where the window is.
  void idle(tcp_connection& c) const override { c.cubic_epoch = 0; }

  // 4.6, and fast convergence of 4.7.
  void reduce(tcp_connection& c, std::uint32_t flight) const override {
    c.cubic_max = c.cwnd < c.cubic_max ? static_cast<std::uint32_t>(c.cwnd * 17ull / 20) : c.cwnd;
    c.cubic_prior = c.cwnd;
    c.ssthresh = std::max(static_cast<std::uint32_t>(flight * 7ull / 10), least_threshold(c));
    c.cubic_epoch = 0;
    c.cc_acked = 0;
  }

  // 4.8: congestion avoidance will begin on the plateau.
  void restart(tcp_connection& c) const override { c.cubic_max = 0; }

 private:
  static void begin(tcp_connection& c, std::uint32_t mss, picos now) {
    c.cubic_epoch = std::max<picos>(now, 1);
    c.cubic_est = c.cwnd;
    c.cc_acked = 0;
    c.cubic_k_ms = 0;
    if (c.cwnd >= c.cubic_max)
      c.cubic_max = c.cwnd;
    else  // K of 4.2 in milliseconds, with C = 0.4 segments a second cubed
      c.cubic_k_ms = cube_root((c.cubic_max - c.cwnd) * (10'000'000'000ull / 4) / mss);
  }
  // W_cubic of 4.2 after `since`, in bytes.
  static std::uint64_t curve(const tcp_connection& c, std::uint32_t mss, picos since) {
    const std::uint64_t ms = std::min<std::uint64_t>(since / 1_ms, 1u << 24);
    const bool before = ms < c.cubic_k_ms;
    const uint128 d = before ? c.cubic_k_ms - ms : ms - c.cubic_k_ms;
    const auto bytes = static_cast<std::uint64_t>(
        std::min<uint128>(d * d * d * 4 * mss / 10'000'000'000ull, uint128{window_limit}));
    return before ? (c.cubic_max > bytes ? c.cubic_max - bytes : 0) : c.cubic_max + bytes;
  }
};

}  // namespace

const congestion_control& newreno() {
  static const newreno_control control;
  return control;
}
const congestion_control& cubic() {
  static const cubic_control control;
  return control;
}

}  // namespace understudy
