// Opening a packet capture.
#pragma once
#include <pcap/pcap.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace understudy::tb {

// The file cannot be used: one line that names the file and says what is wrong.
class capture_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct close_pcap {
  void operator()(pcap_t* p) const { pcap_close(p); }
};
using pcap_handle = std::unique_ptr<pcap_t, close_pcap>;

// A pcap or pcapng file, with times in nanoseconds. Throws capture_error: no such file, empty, truncated, not
// a capture.
pcap_handle open_capture(const std::string& path);

}  // namespace understudy::tb
