// How fast does the model simulate, beside ns-3 on the same transfer? Prints a table in Markdown.
//
//   understudy_bench --understudy PROGRAM --scenario bulk.toml [--ns3 PROGRAM] [--repeats N] [--mib N]
//
// Every measurement is a process of its own; the repeats of all rows are interleaved, so that a machine which
// is slower for a while is slower for every row. Exit status 1 if a run does not hold.
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tb/report/percentile.h"

namespace {

struct measurement {
  std::uint64_t frames = 0;  // packets that a host has put on its wire, data and ACKs, each once
  double wall_s = 0;         // of the simulation alone, as the program states it
  double cpu_s = 0;          // of the whole process
};

struct answer {
  std::string text;
  double cpu_s = 0;
};

// Run a program to its end and take its standard output.
answer run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  int out[2];
  if (pipe(out) != 0) throw std::runtime_error("cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(out[1]);
  answer a;
  char buffer[4096];
  for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;)
    a.text.append(buffer, static_cast<std::size_t>(n));
  close(out[0]);
  int status = 0;
  rusage used{};
  wait4(child, &status, 0, &used);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error(words[0] + " failed: " + a.text);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  a.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  return a;
}

struct row {
  std::string name;
  unsigned connections;
  bool is_ns3;
  std::vector<std::string> command;
  std::vector<measurement> runs;
};

measurement measure(const row& r) {
  const answer a = run(r.command);
  measurement m;
  m.cpu_s = a.cpu_s;
  if (r.is_ns3) {
    std::istringstream(a.text) >> m.frames >> m.wall_s;
  } else {
    const auto j = nlohmann::json::parse(a.text);
    m.frames = j.at("frames");
    m.wall_s = j.at("wall_s");
  }
  if (m.frames == 0 || m.wall_s <= 0)
    throw std::runtime_error(r.command[0] + " says nothing that can be measured");
  return m;
}

double median(const std::vector<measurement>& runs, double (*of)(const measurement&)) {
  std::vector<double> v;
  v.reserve(runs.size());
  for (const measurement& m : runs) v.push_back(of(m));
  return understudy::tb::percentile(v, 500);
}

double per_wall_second(const measurement& m) {
  return static_cast<double>(m.frames) / m.wall_s;
}
double per_cpu_second(const measurement& m) {
  return static_cast<double>(m.frames) / m.cpu_s;
}

void print(const std::vector<row>& rows) {
  std::cout
      << "| connections | simulator | frames | frames/s, wall clock | of ns-3 | frames/s, CPU | of ns-3 |\n"
         "|---:|---|---:|---:|---:|---:|---:|\n";
  for (const row& r : rows) {
    const double wall = median(r.runs, per_wall_second);
    const double cpu = median(r.runs, per_cpu_second);
    std::string wall_ratio = "-", cpu_ratio = "-";
    for (const row& base : rows) {
      if (!base.is_ns3 || base.connections != r.connections) continue;
      wall_ratio = fmt::format("{:.1f}", wall / median(base.runs, per_wall_second));
      cpu_ratio = fmt::format("{:.1f}", cpu / median(base.runs, per_cpu_second));
    }
    std::cout << fmt::format("| {} | {} | {} | {:.0f} | {} | {:.0f} | {} |\n", r.connections, r.name,
                             r.runs.front().frames, wall, wall_ratio, cpu, cpu_ratio);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("How fast does the model simulate, beside ns-3 on the same transfer?");
  std::string understudy, scenario, ns3;
  unsigned repeats = 5;
  std::uint64_t mib = 64;
  app.add_option("--understudy", understudy, "the program")->required()->check(CLI::ExistingFile);
  app.add_option("--scenario", scenario, "the transfer")->required()->check(CLI::ExistingFile);
  app.add_option("--ns3", ns3, "the program on ns-3; without it only the model is measured")
      ->check(CLI::ExistingFile);
  app.add_option("--repeats", repeats, "of every row")->capture_default_str()->check(CLI::Range(1, 99));
  app.add_option("--mib", mib, "MiB to move, over all connections")
      ->capture_default_str()
      ->check(CLI::Range(16, 65536));
  CLI11_PARSE(app, argc, argv);

  std::string folder = (std::filesystem::temp_directory_path() / "understudy_bench.XXXXXX").string();
  try {
    if (!mkdtemp(folder.data())) throw std::runtime_error("cannot make " + folder);
    std::vector<row> rows;
    for (const unsigned connections : {1u, 16u}) {
      const std::uint64_t bytes = (mib << 20) / connections;
      if (!ns3.empty())
        rows.push_back({"ns-3: two hosts, a wire",
                        connections,
                        true,
                        {ns3, std::to_string(connections), std::to_string(bytes)},
                        {}});
      for (const char* peer : {"lwip", "twin"})
        for (const char* monitors : {"off", "all"}) {
          const std::string what = peer == std::string("lwip") ? "adapter, PCIe, driver; lwIP peer"
                                                               : "two adapters, each with PCIe and driver";
          rows.push_back(
              {fmt::format("{}; monitors {}", what, monitors),
               connections,
               false,
               {understudy, "run", scenario, "--captures", "off", "--json", "--out", folder, "--set",
                fmt::format("peer=\"{}\"", peer), "--set", fmt::format("monitors=\"{}\"", monitors), "--set",
                fmt::format("workload.connections={}", connections), "--set",
                fmt::format("workload.bytes={}", bytes)},
               {}});
        }
    }
    for (unsigned i = 0; i < repeats; ++i) {
      std::cerr << "round " << i + 1 << " of " << repeats << '\n';
      for (row& r : rows) r.runs.push_back(measure(r));
    }
    print(rows);
    std::filesystem::remove_all(folder);
  } catch (const std::exception& e) {
    std::filesystem::remove_all(folder);
    std::cerr << "understudy_bench: " << e.what() << '\n';
    return 1;
  }
}
