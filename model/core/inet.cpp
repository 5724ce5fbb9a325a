#include "model/core/inet.h"

#include <arpa/inet.h>

namespace understudy {

std::string text_of(const ip_address& a) {
  char text[INET6_ADDRSTRLEN] = "";
  if (a.is_v4())
    inet_ntop(AF_INET, a.bytes.data() + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, a.bytes.data(), text, sizeof text);
  return text;
}

}  // namespace understudy
