// The kernel's sockets whose connections lead to an adapter, as `ss` shows them.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tb/test/live/shell.h"

namespace understudy::tb {

struct socket_view {
  std::string local;                      // address and port; empty: there is none
  std::string inode, cookie;              // the kernel's own names of it
  std::set<std::string> words;            // of `ss -tieo`, numbers behind a colon cut off
  std::uint64_t acked = 0, received = 0;  // bytes

  bool has(const std::string& word) const { return words.contains(word); }
  // The same as long as it is the same socket with the same connection.
  std::string identity() const { return local + " inode " + inode + " cookie " + cookie; }
  std::uint64_t crossed() const { return acked + received; }
};

// Those with an established connection to or from `port`.
inline std::vector<socket_view> look_at_sockets(unsigned port) {
  std::istringstream lines(shell("ss -HOtineo state established '( dport = :" + std::to_string(port) +
                                 " or sport = :" + std::to_string(port) + " )'")
                               .output);
  std::vector<socket_view> all;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    socket_view v;
    std::string word;
    in >> word >> word >> v.local >> word;  // behind both queues
    while (in >> word) {
      const auto colon = word.find(':');
      const std::string value = colon == word.npos ? "" : word.substr(colon + 1);
      v.words.insert(word.substr(0, colon));
      if (word.starts_with("ino:")) v.inode = value;
      if (word.starts_with("sk:")) v.cookie = value;
      if (word.starts_with("bytes_acked:")) v.acked = std::strtoull(value.c_str(), nullptr, 10);
      if (word.starts_with("bytes_received:")) v.received = std::strtoull(value.c_str(), nullptr, 10);
    }
    all.push_back(std::move(v));
  }
  return all;
}
inline socket_view look_at_socket(unsigned port = 8080) {
  const std::vector<socket_view> all = look_at_sockets(port);
  return all.empty() ? socket_view{} : all.front();
}

}  // namespace understudy::tb
