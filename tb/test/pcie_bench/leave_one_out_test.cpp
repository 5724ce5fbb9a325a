// Each host predicted by a card and a rule for hosts that have seen only the two others. The card starts from
// values that no measurement of the data set has shaped, and is fitted by coordinate descent with a bounded
// number of evaluations; each evaluation simulates in a process of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "tb/platform/configure.h"
#include "tb/test/pcie_bench/measured_hosts.h"

namespace understudy::tb {
namespace {

constexpr unsigned evaluations = 120;  // of cards, for each host left out
constexpr double impossible = std::numeric_limits<double>::infinity();

// What is known of the card without any measurement: its clock is 1.2 GHz, it sits in a Gen3 x8 slot.
card_parameters neutral_card() {
  constexpr picos cycle = 833_ps;
  card_parameters c;
  c.read_overhead = c.write_overhead = c.command_overhead = 120 * cycle;  // 100 ns: some instructions each
  c.memory_byte = 127_ps;      // stored as fast as the link brings bytes: 63 Gb/s
  c.chunk = 256;               // a TLP: MPS
  c.write_issue = 10 * cycle;  // some cycles
  c.write_chunk = 10 * cycle;  // for each piece of work
  c.read_slots = 32;           // 5-bit tags (PCIe 2.2.6.2)
  c.tlp_gap = 0;               // and no flaw is known of it
  c.short_gap = c.partial_read = c.shared_byte = 0;
  return c;
}

// Lines of a core against lines of the device, by host: what snoop_rule is made of.
constexpr struct { double latency_ns, snoop_ns; } snoops[host_count] = {{558, 14}, {597, 38}, {552, 14}};

// The rule through the two hosts that are there.
snoop_rule rule_without(std::size_t left_out) {
  const auto& a = snoops[left_out == 0 ? 1 : 0];
  const auto& b = snoops[left_out == 2 ? 1 : 2];
  snoop_rule r;
  r.latency_ns = (a.latency_ns + b.latency_ns) / 2;
  r.snoop_ns = (a.snoop_ns + b.snoop_ns) / 2;
  r.share = (a.snoop_ns - b.snoop_ns) / (a.latency_ns - b.latency_ns);
  return r;
}

using errors = std::array<double, 3>;  // reads, writes, both, in percent

// Of one card on one host; simulates here.
errors errors_of(const card_parameters& card, const snoop_rule& rule, std::size_t host,
                 std::uint32_t transfers) {
  bench_plan plan = data_set_plan();
  plan.latency_sizes.clear();
  plan.command_sizes.clear();
  plan.transfers = transfers;
  bench b(hosts[host], pcie_of(profile_of(hosts[host], card, rule)), card, plan);
  bench::run({&b});
  const by_test_and_size model = rates_of(b), truth = measured_rates(hosts[host]);
  errors e{};
  for (std::size_t t = 0; t < e.size(); ++t) e[t] = error_of(model, truth, rates[t]);
  return e;
}

struct job {
  card_parameters card;
  std::size_t host = 0;
};

// Each job in a process of its own, all at once: SystemC elaborates once in a process.
std::vector<errors> simulate(const std::vector<job>& jobs, const snoop_rule& rule, std::uint32_t transfers) {
  std::vector<std::pair<pid_t, int>> children;
  std::fflush(nullptr);
  for (const job& j : jobs) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no process");
    if (child == 0) {
      errors e{impossible, impossible, impossible};
      try {
        e = errors_of(j.card, rule, j.host, transfers);
      } catch (const scenario_error&) {  // the card alone takes longer than was measured
      }
      const ssize_t written = write(ends[1], e.data(), sizeof e);
      _exit(written == sizeof e ? 0 : 1);
    }
    close(ends[1]);
    children.emplace_back(child, ends[0]);
  }
  std::vector<errors> all;
  for (const auto& [child, end] : children) {
    errors e{impossible, impossible, impossible};
    EXPECT_EQ(read(end, e.data(), sizeof e), static_cast<ssize_t>(sizeof e));
    close(end);
    waitpid(child, nullptr, 0);
    all.push_back(e);
  }
  return all;
}

double mean(const errors& e) {
  return (e[0] + e[1] + e[2]) / 3;
}

// A parameter and how far a step goes.
struct coordinate {
  const char* name;
  std::function<void(card_parameters&, double)> move;  // by so many steps
};

template <class T>
coordinate by(const char* name, T card_parameters::*member, double step) {
  return {name, [member, step](card_parameters& c, double steps) {
            const double moved = static_cast<double>(c.*member) + steps * step;
            c.*member =
                static_cast<T>(std::llround(std::max(std::is_same_v<T, std::uint32_t> ? 2.0 : 0.0, moved)));
          }};
}

struct fitted {
  card_parameters card;
  double error = impossible;  // on the hosts that it has seen
  unsigned evaluated = 0;
};

fitted fit_without(std::size_t left_out) {
  const std::vector<coordinate> coordinates = {by("write_chunk", &card_parameters::write_chunk, 8'000),
                                               by("write_issue", &card_parameters::write_issue, 4'000),
                                               by("read_slots", &card_parameters::read_slots, 8),
                                               by("short_gap", &card_parameters::short_gap, 4'000),
                                               by("partial_read", &card_parameters::partial_read, 16'000),
                                               by("tlp_gap", &card_parameters::tlp_gap, 2'000),
                                               by("shared_byte", &card_parameters::shared_byte, 16),
                                               by("read_overhead", &card_parameters::read_overhead, 64'000),
                                               by("chunk", &card_parameters::chunk, 128)};
  const snoop_rule rule = rule_without(left_out);
  constexpr std::uint32_t transfers = 160;
  fitted best;
  const auto judge = [&](const std::vector<card_parameters>& cards) {
    std::vector<job> jobs;
    for (const card_parameters& c : cards)
      for (std::size_t h = 0; h < host_count; ++h)
        if (h != left_out) jobs.push_back({c, h});
    const std::vector<errors> e = simulate(jobs, rule, transfers);
    bool better = false;
    for (std::size_t i = 0; i < cards.size(); ++i, ++best.evaluated) {
      const double error = (mean(e[2 * i]) + mean(e[2 * i + 1])) / 2;
      if (error >= best.error) continue;
      best.error = error;
      best.card = cards[i];
      better = true;
    }
    return better;
  };
  judge({neutral_card()});
  const double at_start = best.error;
  for (double size = 1; size >= 0.25;) {
    bool moved = false;
    for (const coordinate& c : coordinates) {
      if (best.evaluated + 2 > evaluations) break;
      card_parameters up = best.card, down = best.card;
      c.move(up, size);
      c.move(down, -size);
      moved = judge({up, down}) || moved;
    }
    if (best.evaluated + 2 > evaluations) break;
    if (!moved) size /= 2;
  }
  std::printf("%s left out: from %.2f %% to %.2f %% on the two others in %u cards\n", hosts[left_out],
              at_start, best.error, best.evaluated);
  const card_parameters& c = best.card;
  std::printf(
      "  read_overhead %.1f chunk %u write_issue %.1f write_chunk %.1f read_slots %u tlp_gap %.1f "
      "short_gap %.1f partial_read %.1f ns, shared_byte %llu ps\n",
      static_cast<double>(c.read_overhead) / 1e3, c.chunk, static_cast<double>(c.write_issue) / 1e3,
      static_cast<double>(c.write_chunk) / 1e3, c.read_slots, static_cast<double>(c.tlp_gap) / 1e3,
      static_cast<double>(c.short_gap) / 1e3, static_cast<double>(c.partial_read) / 1e3,
      static_cast<unsigned long long>(c.shared_byte));
  return best;
}

TEST(leave_one_out, a_card_fitted_from_nothing_to_two_hosts_predicts_the_third) {
  for (std::size_t h = 0; h < host_count; ++h) {
    const fitted f = fit_without(h);
    EXPECT_LE(f.evaluated, evaluations);
    const errors e = simulate({{f.card, h}}, rule_without(h), 1000)[0];
    const by_test_and_size null_model = mean_of_others(h), truth = measured_rates(hosts[h]);
    errors n{};
    for (std::size_t t = 0; t < n.size(); ++t) n[t] = error_of(null_model, truth, rates[t]);
    std::printf(
        "  its error: reads %.2f writes %.2f both %.2f all %.2f %%; null model %.2f %.2f %.2f %.2f %%\n",
        e[0], e[1], e[2], mean(e), n[0], n[1], n[2], mean(n));
    EXPECT_LE(mean(e), 4.0) << hosts[h];
  }
}

}  // namespace
}  // namespace understudy::tb
