// Clock cycles a second of rtl/checksum.sv: the bare Verilated model, driven with prepared beats, against
// checksum_unit::check over frames; and frames a second of the twin.
#include <Vchecksum_32.h>
#include <benchmark/benchmark.h>

#include <cstdio>
#include <map>
#include <string>

#include "model/cosim/checksum_pins.h"
#include "model/cosim/checksum_unit.h"
#include "model/cosim/rtl_harness.h"
#include "tb/test/core/checksum_frames.h"

namespace understudy {
namespace {

frame_ref bench_frame(std::uint32_t bytes) {
  rng random(1, "bench/checksum");
  tb::frame_spec s;
  s.segment_bytes = bytes - 34;
  return tb::make_frame(s, random).ref();
}

// The same beats as the harness drives, from a table, and nothing else of it.
void bare(benchmark::State& state) {
  rtl_harness<Vchecksum_32> rtl;
  Vchecksum_32& top = rtl.pins();
  const frame_ref frame = bench_frame(static_cast<std::uint32_t>(state.range(0)));
  const auto packet = checksum_packet_of(frame.bytes()).bytes;
  struct beat {
    decltype(+top.first_i) valid, first, last;
    std::array<std::uint8_t, sizeof(top.data_i)> data;
    std::uint32_t keep;
  };
  std::vector<beat> beats;
  for (std::size_t at = 0; at < packet.size(); at += sizeof(top.data_i)) {
    drive_beat(top, packet, at, checksum_mode::check);
    beat b{top.valid_i, top.first_i, top.last_i, {}, top.keep_i};
    std::memcpy(b.data.data(), &top.data_i, sizeof(top.data_i));
    beats.push_back(b);
  }
  top.result_ready_i = 1;
  std::uint64_t cycles = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < beats.size() + checksum_latency_cycles; ++i) {
      const bool drive = i < beats.size();
      top.valid_i = drive;
      if (drive) {
        const beat& b = beats[i];
        top.first_i = static_cast<CData>(b.first);
        top.last_i = static_cast<CData>(b.last);
        top.keep_i = b.keep;
        std::memcpy(&top.data_i, b.data.data(), sizeof(top.data_i));
      }
      top.clk_i = 0;
      top.eval();
      top.clk_i = 1;
      top.eval();
      ++cycles;
    }
  }
  state.counters["cycles"] = benchmark::Counter(static_cast<double>(cycles), benchmark::Counter::kIsRate);
}

void through(benchmark::State& state, std::unique_ptr<checksum_unit> unit) {
  const frame_ref frame = bench_frame(static_cast<std::uint32_t>(state.range(0)));
  const auto before = unit->cycles();
  for (auto _ : state) {
    auto r = unit->check(frame);
    if (!r.l4_ok) state.SkipWithError("wrong verdict");
  }
  state.counters["cycles"] =
      benchmark::Counter(static_cast<double>(unit->cycles() - before), benchmark::Counter::kIsRate);
}
void harness(benchmark::State& state) {
  through(state, make_checksum_rtl());
}
void twin(benchmark::State& state) {
  through(state, make_checksum_twin());
}

BENCHMARK(bare)->Arg(64)->Arg(1514);
BENCHMARK(harness)->Arg(64)->Arg(1514);
BENCHMARK(twin)->Arg(64)->Arg(1514);

// Prints as usual and keeps the rates.
class keeper : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& r : runs)
      if (r.counters.count("cycles")) rates[r.benchmark_name()] = r.counters.at("cycles").value;
    ConsoleReporter::ReportRuns(runs);
  }
  std::map<std::string, double> rates;
};

}  // namespace
}  // namespace understudy

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  understudy::keeper k;
  benchmark::RunSpecifiedBenchmarks(&k);
  for (const char* size : {"/64", "/1514"}) {
    const double b = k.rates[std::string("bare") + size], h = k.rates[std::string("harness") + size];
    if (b > 0 && h > 0)
      std::printf("frames of %s bytes: harness at %.2f of the bare model's cycles a second\n", size + 1,
                  h / b);
  }
}
