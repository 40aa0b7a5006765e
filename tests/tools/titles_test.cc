#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "server/stages/rules/table.h"
#include "tools/titles/generator.h"

namespace millrace {
namespace {

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(Titles, TheGeneratorMakesTheDemosFilesAgain) {
  const titles::GeneratedTitles generated = titles::GenerateTitles(7, 7483);
  EXPECT_TRUE(generated.titles == FileText("demo/titles.csv")) << "make them: millrace_generate_titles demo";
  EXPECT_TRUE(generated.truth == FileText("demo/truth.csv"));
}

TEST(Titles, FamiliesAreOfAllSizes) {
  const auto truth = rules::ReadTable(titles::GenerateTitles(1, 3000).truth);
  ASSERT_TRUE(truth.ok()) << truth.status();
  ASSERT_EQ(truth->rows.size(), 3000u);
  std::map<std::string, int> sizes;
  for (const auto& row : truth->rows) ++sizes[row[1]];
  std::map<int, int> families;
  for (const auto& [family, size] : sizes) ++families[size];
  EXPECT_GT(families[1], 300);
  EXPECT_EQ(families.rbegin()->first, 60);
  EXPECT_GT(families.size(), 20u);
}

TEST(Titles, EverySeedGivesOtherTitles) {
  EXPECT_NE(titles::GenerateTitles(1, 100).titles, titles::GenerateTitles(2, 100).titles);
}

}  // namespace
}  // namespace millrace
