/* The shortest program there is: what is left is the start. */
int main(void)
{
    return 0;
}
