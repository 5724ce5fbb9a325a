// FIPS 180-4 against its published examples.
#include "tb/report/sha256.h"

#include <gtest/gtest.h>

namespace understudy::tb {
namespace {

TEST(sha256, agrees_with_the_published_examples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, a_file_that_is_not_there_has_no_hash) {
  EXPECT_EQ(sha256_of_file("/nowhere"), "");
}

}  // namespace
}  // namespace understudy::tb
