#include "tb/live/capture_player.h"

#include <fmt/format.h>

#include <algorithm>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

capture_player::capture_player(const std::string& path) : path_(path) {
  try {
    file_ = open_capture(path);
  } catch (const capture_error& e) {
    throw scenario_error(std::string("--pcap-in: ") + e.what());
  }
  if (pcap_datalink(file_.get()) != DLT_EN10MB)
    throw scenario_error(
        fmt::format("--pcap-in: {}: its link type is not Ethernet, allowed: Ethernet", path));
  fetch();
  if (!frame_)
    throw scenario_error(fmt::format("--pcap-in: {}: {}, allowed: whole Ethernet frames", path,
                                     damage_.empty() ? "holds no frame" : damage_));
}

// A frame that the capture cut short is none; one that was recorded out of order goes at once.
void capture_player::fetch() {
  frame_ = {};
  while (!frame_) {
    pcap_pkthdr* header = nullptr;
    const unsigned char* data = nullptr;
    const int got = pcap_next_ex(file_.get(), &header, &data);
    if (got == PCAP_ERROR) damage_ = fmt::format("{}: {}", path_, pcap_geterr(file_.get()));
    if (got != 1) return;
    const std::int64_t ns = static_cast<std::int64_t>(header->ts.tv_sec) * 1'000'000'000 + header->ts.tv_usec;
    if (first_ns_ < 0) first_ns_ = ns;
    at_ = std::max(at_, static_cast<picos>(std::max<std::int64_t>(0, ns - first_ns_)) * 1000);
    if (header->caplen == header->len)
      frame_ = taken_in(data, header->len);
    else
      ++count_.refused_in;
  }
}

far_end::arrival capture_player::read(picos horizon) {
  if (!frame_ || next() > horizon) return {};
  arrival a{std::move(frame_), begin_ + at_};
  fetch();
  return a;
}

std::string capture_player::describe() const {
  return fmt::format("capture {}", path_);
}

}  // namespace understudy::tb
