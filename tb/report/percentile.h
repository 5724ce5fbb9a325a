// The one rule by which the house takes percentiles and medians.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace understudy::tb {

// Nearest rank: the least of `samples` that at least `per_mille` of 1,000 of them do not exceed; always one
// of them. 500: the median, of an even number the lower of the middle two. T{} without samples. 1 <=
// per_mille <= 1000.
template <class T>
T percentile(std::vector<T> samples, std::size_t per_mille) {
  if (samples.empty()) return {};
  const std::size_t rank = (samples.size() * per_mille + 999) / 1000;
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

}  // namespace understudy::tb
