#include "tb/workload/capture_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace understudy::tb {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw capture_error(fmt::format("{}: {}", path, what));
}

}  // namespace

// Tells apart what libpcap reports as one: a missing, an empty and a foreign file.
pcap_handle open_capture(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path, fmt::format("cannot be opened: {}", std::strerror(errno)));
  unsigned char magic[4];
  errno = 0;
  const std::size_t got = std::fread(magic, 1, sizeof magic, file);
  const int cause = errno;
  if (got < sizeof magic) {
    std::fclose(file);
    if (cause != 0) fail(path, fmt::format("cannot be read: {}", std::strerror(cause)));
    fail(path, got == 0 ? "the file is empty" : "not a packet capture (pcap or pcapng)");
  }
  std::rewind(file);
  char why[PCAP_ERRBUF_SIZE] = "";
  pcap_handle p(pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why));
  if (!p) {
    std::fclose(file);
    if (std::strstr(why, "truncated")) fail(path, fmt::format("the capture is truncated: {}", why));
    fail(path, fmt::format("not a packet capture (pcap or pcapng): {}", why));
  }
  return p;
}

}  // namespace understudy::tb
