# Writes the bytes of INPUT as a C++ array to OUTPUT: cmake -DINPUT=… -DOUTPUT=… -P embed.cmake
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"server/config/descriptor_set.h\"

namespace millrace {

const unsigned char kDescriptorSet[] = {
${bytes}};
const size_t kDescriptorSetSize = sizeof kDescriptorSet;

}  // namespace millrace
")
