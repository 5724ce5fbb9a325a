// Work in processes of its own: SystemC elaborates once in a process.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace understudy::tb {

// Call `work(i)` for every i below `n`, each in a process of its own, at most `jobs` at the same time; what
// it answers, in order of i. The answer begins with "error " where `work` threw, its process died, or
// `guard_seconds` of wall-clock time (0: no limit) were not enough; it is empty where `stop` came first.
// `begins` is called before each begins; may be empty.
// Throws std::runtime_error if no process or temporary file can be had.
std::vector<std::string> in_processes(std::size_t n, unsigned jobs, unsigned guard_seconds,
                                      const std::function<std::string(std::size_t)>& work,
                                      const std::atomic<bool>* stop = nullptr,
                                      const std::function<void()>& begins = {});

}  // namespace understudy::tb
